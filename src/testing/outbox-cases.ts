// The conformance suite for OutboxPort: what every implementation must do, in the order of a message's path.

import { claimCases } from './claim-cases.ts';
import { expiryCases, onceCases } from './expiry-cases.ts';
import { orderCases } from './order-cases.ts';
import type { OutboxCase } from './outbox-case.ts';
import { recordCases } from './record-cases.ts';
import { replaceCases } from './replace-cases.ts';
import { settleCases } from './settle-cases.ts';
import { transitionCases } from './transition-cases.ts';

/** Needs no test runner: `for (const { name, run } of outboxPortCases) test(name, () => run(harness))`. */
export const outboxPortCases: readonly OutboxCase[] = [
  ...recordCases,
  ...replaceCases,
  ...claimCases,
  ...settleCases,
  ...expiryCases,
  ...onceCases,
  ...orderCases,
  ...transitionCases,
];
