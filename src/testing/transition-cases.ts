// Conformance cases of OutboxPort: every pair of state and change, allowed or refused as the table of transitions says.

import assert from 'node:assert/strict';
import type { Status } from '../message/message.ts';
import type { Claim } from '../outbox/port.ts';
import { isAllowed, transitions, type Change } from '../message/transitions.ts';
import { foreignToken, outboxCase, type Bench, type Held, type OutboxCase } from './outbox-case.ts';

/** How a message gets into each state. */
const reach: Readonly<Record<Status, (bench: Bench) => Promise<Held>>> = {
  pending: async ({ enqueue }) => ({ ...(await enqueue()), claimToken: foreignToken }),
  sending: ({ claimed }) => claimed(),
  failed: (bench) => end(bench, (c) => bench.port.markFailed(c.id, c.claimToken, 'no')),
  delivered: (bench) => end(bench, (c) => bench.port.markDelivered(c.id, c.claimToken)),
  dead: (bench) => end(bench, (c) => bench.port.markFailed(c.id, c.claimToken, 'no', { permanent: true })),
  async cancelled({ enqueue, port }) {
    const message = await enqueue();
    assert.equal(await port.cancel(message.id), true);
    return { ...message, claimToken: foreignToken };
  },
};

async function end({ claimed }: Bench, how: (claim: Claim) => Promise<boolean>): Promise<Held> {
  const one = await claimed();
  assert.equal(await how(one), true);
  return one;
}

/** The changes that a port can make to one message; the answer names the message if it was changed. */
const act: Partial<Record<Change, (bench: Bench, held: Held) => Promise<readonly unknown[]>>> = {
  claim: ({ claim }, { queue }) => claim(queue),
  deliver: ({ port }, { id, claimToken }) => port.settle([{ id, claimToken, to: 'delivered', then: [] }]),
  fail: ({ port }, { id, claimToken }) =>
    port.settle([{ id, claimToken, to: 'failed', error: 'e', delay: 0, ambiguous: false }]),
  kill: ({ port }, { id, claimToken }) =>
    port.settle([{ id, claimToken, to: 'dead', error: 'e', ambiguous: false }]),
  release: ({ port }, { id, claimToken }) =>
    port.settle([{ id, claimToken, to: 'released', error: null, delay: 0 }]),
  cancel: async ({ port }, { id }) => ((await port.cancel(id)) ? [id] : []),
};

const changes = Object.keys(act) as Change[];
const states = Object.keys(reach) as Status[];

export const transitionCases: readonly OutboxCase[] = changes.flatMap((change) =>
  states.map((status) => {
    const allowed = isAllowed(change, status);
    return outboxCase(`${change} from ${status} is ${allowed ? 'allowed' : 'refused'}`, async (bench) => {
      const message = await reach[status](bench);
      const before = await bench.see(message.id);
      const done = await act[change]!(bench, message);
      const after = await bench.see(message.id);
      if (allowed) {
        assert.equal(done.length, 1);
        const to: readonly Status[] = transitions[change].to;
        assert.ok(to.includes(after.status), `it is ${after.status} now`);
      } else {
        assert.deepEqual(done, []);
        assert.deepEqual(after, before);
      }
    });
  }),
);
