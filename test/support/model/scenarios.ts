// The scenarios of the model search: each has few messages, and steps that meet one another. The depth bounds the time.

import type { Content } from './state.ts';
import type { Scenario } from './step.ts';

const plain: Content = { key: 'none', order: null, skips: false };
const ordered: Content = { ...plain, order: 'a' };

export const scenarios: readonly Scenario[] = [
  {
    name: 'two messages, two workers',
    contents: [plain],
    recordings: 2,
    workers: 2,
    claims: [
      [1, undefined],
      [2, undefined],
      [2, 1],
    ],
    ends: ['delivered', 'failed', 'dead', 'released'],
    people: ['cancel', 'retry'],
    extends: true,
    depth: 7,
  },
  {
    name: 'three messages of an order key',
    contents: [ordered, { ...ordered, skips: true }],
    recordings: 3,
    workers: 1,
    claims: [[2, undefined]],
    ends: ['delivered', 'failed', 'dead', 'released'],
    people: ['cancel', 'retry'],
    extends: false,
    depth: 8,
  },
  {
    name: 'three recordings of a delivery key',
    contents: [
      { ...plain, key: 'keep' },
      { ...plain, key: 'replace' },
      { ...plain, key: 'debounce' },
    ],
    recordings: 3,
    workers: 1,
    claims: [[2, undefined]],
    ends: ['delivered', 'failed', 'dead', 'released'],
    people: ['cancel', 'retry'],
    extends: false,
    depth: 8,
  },
  {
    name: 'a delivery key whose message moves between order keys',
    contents: [
      { key: 'replace', order: 'a', skips: false },
      { key: 'replace', order: 'b', skips: true },
      ordered,
    ],
    recordings: 3,
    workers: 1,
    claims: [[2, undefined]],
    ends: ['delivered', 'failed', 'dead'],
    people: ['cancel', 'retry'],
    extends: false,
    depth: 7,
  },
];

/** What only Postgres can do, and longer than a search can go. */
export const walked: readonly Scenario[] = scenarios.map((scenario) => ({
  ...scenario,
  people: ['cancel', 'retry', 'dismiss', 'unblock', 'pause'],
  workers: 2,
  claims: [
    [1, undefined],
    [2, undefined],
    [2, 1],
    [3, 0],
  ],
  extends: true,
}));
