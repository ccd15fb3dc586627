import { describe, expect, it } from 'vitest';
import { durationText } from '../../src/duration.ts';

describe('durationText', () => {
  it.each([
    [0, '0s'],
    [-5, '0s'],
    [0.4, '0s'],
    [59.6, '1m'],
    [330, '5m30s'],
    [3600, '1h'],
    [3661, '1h1m'],
    [3605, '1h'],
    [86_400 * 2 + 3_600 * 4, '2d4h'],
    [86_400 * 400, '400d'],
  ])('%d seconds: %s', (seconds, text) => {
    expect(durationText(seconds)).toBe(text);
  });
});
