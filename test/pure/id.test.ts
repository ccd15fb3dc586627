import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { idsInOrder } from '../../src/message/id.ts';

describe('ids of messages', () => {
  it('are version 7 of RFC 9562, with the milliseconds in front', () => {
    const id = idsInOrder(() => Date.UTC(2026, 10, 21))();
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)).toBe(Date.UTC(2026, 10, 21));
  });

  it('ascend, also when the clock stands still, goes back, or jumps', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -5000, max: 5000 }), { minLength: 2 }), (steps) => {
        let ms = 1_700_000_000_000;
        const next = idsInOrder(() => ms);
        const ids = steps.map((step) => ((ms += step), next()));
        expect(ids).toEqual(ids.toSorted());
        expect(new Set(ids).size).toBe(ids.length);
      }),
    );
  });

  it('ascend when more of them share a millisecond than the counter holds', () => {
    const next = idsInOrder(() => 1_700_000_000_000);
    const ids = Array.from({ length: 10_000 }, next);
    expect(ids).toEqual(ids.toSorted());
    expect(new Set(ids).size).toBe(ids.length);
  });
});
