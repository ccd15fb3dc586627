// Messages that lose conflicts with other transactions. Real: src/delivery/failure.ts. Doubled: randomness.

import { expect, it } from 'vitest';
import { createConflicts } from '../../src/delivery/failure.ts';

it('after twenty lost transactions of a message, each further one counts as an attempt', () => {
  const conflicts = createConflicts(() => 0.5);
  for (let i = 0; i < 20; i++) expect(conflicts.delayOf('one')).toBeGreaterThan(0);
  for (let i = 0; i < 3; i++) expect(conflicts.delayOf('one')).toBeUndefined();
  expect(conflicts.delayOf('another')).toBeGreaterThan(0);
});

it.each([0, 0.25, 1])('the delay doubles from 40 ms to 2 s, times the random number %d', (random) => {
  const conflicts = createConflicts(() => random);
  const delays = Array.from({ length: 9 }, () => conflicts.delayOf('one'));
  expect(delays).toEqual([40, 80, 160, 320, 640, 1_280, 2_000, 2_000, 2_000].map((ms) => random * ms));
});

it.each([
  [9_998, undefined],
  [9_999, 40],
])(
  '10,000 messages are remembered; beyond, the one whose last conflict is the oldest goes',
  (others, delay) => {
    const conflicts = createConflicts(() => 1);
    const lose = (id: string, times: number): void => {
      for (let i = 0; i < times; i++) conflicts.delayOf(id);
    };
    lose('first', 19);
    lose('second', 20);
    lose('first', 1);
    for (let i = 0; i < others; i++) lose(`other ${i}`, 1);
    expect([conflicts.delayOf('first'), conflicts.delayOf('second')]).toEqual([undefined, delay]);
  },
);
