// One attempt in a worker. Real: src/worker/attempt.ts and the leases. Doubled: the delivery, the settler and time.

import { expect, it } from 'vitest';
import type { Deliver } from '../../src/delivery/delivery.ts';
import { defaultBackoff } from '../../src/message/backoff.ts';
import type { ClaimedMessage } from '../../src/message/message.ts';
import type { Settlement } from '../../src/message/outcome.ts';
import { createMemoryOutbox } from '../../src/store/memory.ts';
import { Attempt } from '../../src/worker/attempt.ts';
import { createLeases } from '../../src/worker/lease.ts';

const leaseMs = 9_000;

const delivered: Deliver = async () => ({
  outcome: { type: 'delivered', then: [] },
  backoff: defaultBackoff,
});

/** An attempt whose slot is free `late` ms after its claim was sent, and what becomes of it. */
async function attemptAfter(late: number, deliver = delivered) {
  let now = 0;
  const clock = { now: () => now };
  const outbox = createMemoryOutbox();
  const ends: Settlement[] = [];
  let deliveries = 0;
  const over = Promise.withResolvers<void>();
  const message = { id: 'm', queue: 'jobs', attempt: 1, maxAttempts: 3, claimToken: 't' } as ClaimedMessage;
  const attempt = new Attempt(
    message,
    now,
    {
      leases: createLeases(outbox, leaseMs, clock),
      closer: { judge: async (_, __, settlement) => settlement, groupEnded: async () => undefined },
      settler: {
        settle: async (end) => (ends.push(end), undefined),
        record: (end, one) => (ends.push(end), one.recorded(undefined)),
        pending: () => 0,
      },
      deliver: (...given) => (deliveries++, deliver(...given)),
      outboxOn: () => outbox,
      events: { attempted: () => undefined, rejected: () => undefined },
      clock,
      random: () => 0.5,
      notify: () => undefined,
    },
    {
      leave: () => undefined,
      end: (_, error) => (error === undefined ? over.resolve() : over.reject(error)),
    },
  );
  now = late;
  attempt.run();
  await over.promise;
  return { deliveries, ends: ends.map(({ to }) => to) };
}

it('D: what waited for its slot until its lease may have run out is released and not delivered', async () => {
  expect(await attemptAfter(leaseMs - 1)).toEqual({ deliveries: 1, ends: ['delivered'] });
  expect(await attemptAfter(leaseMs)).toEqual({ deliveries: 0, ends: ['released'] });
});

it.each([
  ['rejects', async () => Promise.reject(new TypeError('a mistake'))],
  ['throws', () => { throw new TypeError('a mistake') }],
] as [string, Deliver][])('B: a delivery that %s is settled as a failure', async (_, deliver) => {
  expect(await attemptAfter(0, deliver)).toEqual({ deliveries: 1, ends: ['failed'] });
}); // prettier-ignore
