// The options of a delivery key that is taken, and the due time of a message that replaces another. All of it is pure.

import { describe, expect, it } from 'vitest';
import {
  checkDuplicate,
  dueOf,
  withoutReplace,
  type DuplicateOptions,
  type Replace,
} from '../../src/message/duplicate.ts';

const key = { deliveryKey: 'k' };
const day = 86_400_000;
const code = (of: string): unknown => expect.objectContaining({ code: of });

describe('the options of a delivery key', () => {
  it.each<[DuplicateOptions, Replace | undefined]>([
    [{ onDuplicate: 'keep' }, undefined],
    [{ onDuplicate: 'replace' }, { debounce: null }],
    [{ debounce: '2s' }, { debounce: { ms: 2_000, maxWaitMs: 20_000 } }],
    [{ debounce: 1, onDuplicate: 'replace' }, { debounce: { ms: 1, maxWaitMs: 10 } }],
    [{ debounce: '30d', maxWait: '365d' }, { debounce: { ms: 30 * day, maxWaitMs: 365 * day } }],
    [{ debounce: '2s', maxWait: '2s' }, { debounce: { ms: 2_000, maxWaitMs: 2_000 } }],
  ])('%j are taken', (options, replace) => {
    expect(checkDuplicate({ ...key, ...options })).toEqual(replace);
  });

  it.each<[object, string]>([
    [{ onDuplicate: 'merge' }, 'on_duplicate_invalid'],
    [{ onDuplicate: 'replace', deliveryKey: undefined }, 'debounce_needs_key'],
    [{ onDuplicate: 'keep', maxWait: '1m' }, 'max_wait_invalid'],
    ...['0s', 0.5, Number.NaN, Number.POSITIVE_INFINITY, 'soon', ['5'], true, 30 * day + 1].map(
      (debounce): [object, string] => [{ debounce }, 'debounce_invalid'],
    ),
    [{ debounce: '1s', availableAt: new Date(0) }, 'debounce_invalid'],
    [{ debounce: '1s', onDuplicate: 'keep' }, 'debounce_invalid'],
    ...['1s', 'soon', 365 * day + 1].map((maxWait): [object, string] => [
      { debounce: '2s', maxWait },
      'max_wait_invalid',
    ]),
  ])('%j are refused', (options, refusal) => {
    expect(() => checkDuplicate({ ...key, ...options })).toThrow(code(refusal));
  });

  it('are refused for messages that a delivery adds', () => {
    const plain = { replace: undefined };
    expect(withoutReplace(plain)).toBe(plain);
    expect(() => withoutReplace({ replace: { debounce: null } })).toThrow(code('options_invalid'));
  });
});

it.each([
  ['moves with each recording', 100, 200, 150],
  ['is at most the maximum wait', 960, 970, 1_000],
  ['stays when the maximum wait has just passed', 1_000, 970, 970],
  ['stays when it has long passed', 5_000, 970, 970],
  ['is not later than now then', 1_000, 4_000, 1_000],
])('the due time %s', (_, now, availableAt, due) => {
  const first = { createdAt: 0, availableAt };
  expect(dueOf({ debounce: { ms: 50, maxWaitMs: 1_000 } }, first, undefined, now)).toBe(due);
});

it('without debounce the due time is the one that is given, or the first', () => {
  const first = { createdAt: 0, availableAt: 7 };
  expect([5, undefined].map((given) => dueOf({ debounce: null }, first, given, 100))).toEqual([5, 7]);
});
