// Conformance cases of OutboxPort: order keys (invariant K).

import assert from 'node:assert/strict';
import type { ClaimedMessage, NewMessage } from '../message/message.ts';
import { idsOf, outboxCase, request, type Bench, type OutboxCase } from './outbox-case.ts';

const orderKey = 'account 7';

/** Records messages of one queue and order key, one after the other. */
async function record(
  { port, fresh }: Bench,
  count: number,
  over: Partial<NewMessage> = {},
): Promise<{ readonly queue: string; readonly ids: readonly string[] }> {
  const { queue } = fresh();
  const ids: string[] = [];
  for (let n = 0; n < count; n++) ids.push((await port.enqueue(fresh({ queue, orderKey, ...over }))).id);
  return { queue, ids };
}

async function claimOne({ claim }: Bench, queue: string, id: string | undefined): Promise<ClaimedMessage> {
  const claimed = await claim(queue);
  assert.deepEqual(idsOf(claimed), [id]);
  return claimed[0]!;
}

const deliver = async ({ port }: Bench, { id, claimToken }: ClaimedMessage): Promise<void> =>
  assert.equal(await port.markDelivered(id, claimToken), true);

const kill = async ({ port }: Bench, { id, claimToken }: ClaimedMessage): Promise<void> =>
  assert.equal(await port.markFailed(id, claimToken, 'no', { permanent: true }), true);

export const orderCases: readonly OutboxCase[] = [
  outboxCase('K: messages with one order key are claimed one at a time, in their order', async (bench) => {
    const { queue, ids } = await record(bench, 3);
    for (const id of ids) {
      const message = await claimOne(bench, queue, id);
      assert.deepEqual(await bench.claim(queue), []);
      await deliver(bench, message);
    }
    assert.deepEqual(await bench.claim(queue), []);
  }),

  outboxCase('K: so are those of one call, in the order of the array', async (bench) => {
    const { queue } = bench.fresh();
    const ids = idsOf(await bench.port.enqueue([1, 2, 3].map(() => bench.fresh({ queue, orderKey }))));
    for (const id of ids) await deliver(bench, await claimOne(bench, queue, id));
  }),

  outboxCase('other keys, other queues and messages without a key do not wait', async (bench) => {
    const { port, fresh, claim } = bench;
    const { queue, ids } = await record(bench, 2);
    const other = await port.enqueue(fresh({ queue, orderKey: 'account 8' }));
    const plain = await port.enqueue(fresh({ queue }));
    const elsewhere = await port.enqueue(fresh({ orderKey, queue: `${queue}-2` }));
    const free = [ids[0]!, other.id, plain.id].toSorted();
    assert.deepEqual(idsOf(await claim(queue)).toSorted(), free);
    assert.deepEqual(idsOf(await claim(`${queue}-2`)), [elsewhere.id]);
  }),

  outboxCase('K: a message that is retried keeps its place', async (bench) => {
    const { queue, ids } = await record(bench, 2);
    const first = await claimOne(bench, queue, ids[0]);
    await bench.port.markFailed(first.id, first.claimToken, 'later', { delayMs: 3_600_000 });
    assert.deepEqual(await bench.claim(queue), []);
  }),

  outboxCase('K: so does one that fails and is due at once, and one that is released', async (bench) => {
    const { queue, ids } = await record(bench, 2);
    const first = await claimOne(bench, queue, ids[0]);
    await bench.port.markFailed(first.id, first.claimToken, 'again');
    const { id, claimToken } = await claimOne(bench, queue, ids[0]);
    await bench.port.settle([{ id, claimToken, to: 'released', error: null, delay: 0 }]);
    await deliver(bench, await claimOne(bench, queue, ids[0]));
    await claimOne(bench, queue, ids[1]);
  }),

  outboxCase('K: one that is due later holds back those behind it', async (bench) => {
    const { port, fresh, claim } = bench;
    const { queue } = await record(bench, 1, { availableAt: new Date(Date.now() + 3_600_000) });
    await port.enqueue(fresh({ queue, orderKey }));
    assert.deepEqual(await claim(queue), []);
  }),

  outboxCase('a dead message blocks its key', async (bench) => {
    const { queue, ids } = await record(bench, 2);
    await kill(bench, await claimOne(bench, queue, ids[0]));
    assert.deepEqual(await bench.claim(queue), []);
    await bench.port.enqueue(bench.fresh({ queue, orderKey }));
    assert.deepEqual(await bench.claim(queue), []);
  }),

  outboxCase('with onDead skip, its key goes on', async (bench) => {
    const { queue, ids } = await record(bench, 2, { onDead: 'skip' });
    await kill(bench, await claimOne(bench, queue, ids[0]));
    await deliver(bench, await claimOne(bench, queue, ids[1]));
  }),

  outboxCase('a last attempt that expires blocks its key, or with onDead skip does not', async (bench) => {
    const { port, claim } = bench;
    const [blocks, skips] = [
      await record(bench, 2, { maxAttempts: 1 }),
      await record(bench, 2, { maxAttempts: 1, onDead: 'skip' }),
    ];
    for (const { queue } of [blocks, skips])
      await port.claimBatch({ ...request, leaseMs: 1, queues: [queue] });
    await new Promise((resolve) => void setTimeout(resolve, 20));
    await port.expire(1_000);
    assert.deepEqual(await claim(blocks.queue), []);
    await claimOne(bench, skips.queue, skips.ids[1]);
  }),

  outboxCase('a cancelled message is left out', async (bench) => {
    const { port } = bench;
    const { queue, ids } = await record(bench, 3);
    assert.equal(await port.cancel(ids[0]!), true);
    assert.equal(await port.cancel(ids[2]!), true);
    await deliver(bench, await claimOne(bench, queue, ids[1]));
    assert.deepEqual(await bench.claim(queue), []);
  }),

  outboxCase('K: a blocking message that a person retries goes first', async (bench) => {
    if (!bench.retry) return;
    const { queue, ids } = await record(bench, 2);
    await kill(bench, await claimOne(bench, queue, ids[0]));
    await bench.retry(ids[0]!);
    await deliver(bench, await claimOne(bench, queue, ids[0]));
    await claimOne(bench, queue, ids[1]);
  }),

  outboxCase('K: a skipped one that a person retries is the next of its key', async (bench) => {
    if (!bench.retry) return;
    const { queue, ids } = await record(bench, 3, { onDead: 'skip' });
    await kill(bench, await claimOne(bench, queue, ids[0]));
    const second = await claimOne(bench, queue, ids[1]);
    await bench.retry(ids[0]!);
    assert.deepEqual(await bench.claim(queue), []);
    await deliver(bench, second);
    await deliver(bench, await claimOne(bench, queue, ids[0]));
    await claimOne(bench, queue, ids[2]);
  }),

  outboxCase('K: messages that a settlement adds are in order, too', async (bench) => {
    const { port, fresh, claimed } = bench;
    const parent = await claimed();
    const { queue } = fresh();
    const children = [1, 2].map((n) => fresh({ queue, orderKey, payload: { n } }));
    await port.markDelivered(parent.id, parent.claimToken, children);
    for (const n of [1, 2]) {
      const [message, ...more] = await bench.claim(queue);
      assert.deepEqual([message?.payload, more], [{ n }, []]);
      await deliver(bench, message!);
    }
  }),

  outboxCase('K: a message that is replaced keeps its place', async (bench) => {
    const { port, fresh, key } = bench;
    const { queue, ids } = await record(bench, 1);
    const message = fresh({ queue, orderKey, deliveryKey: key(), onDuplicate: 'replace' });
    const second = await port.enqueue(message);
    const third = await port.enqueue(fresh({ queue, orderKey }));
    assert.equal((await port.enqueue({ ...message, payload: 'newer' })).id, second.id);
    await deliver(bench, await claimOne(bench, queue, ids[0]));
    const replaced = await claimOne(bench, queue, second.id);
    assert.equal(replaced.payload, 'newer');
    await deliver(bench, replaced);
    await claimOne(bench, queue, third.id);
  }),

  outboxCase('K: one that gets another order key leaves the first and waits for the other', async (bench) => {
    const { port, fresh, key, claim } = bench;
    const { queue, ids } = await record(bench, 1);
    const message = fresh({ queue, orderKey, deliveryKey: key(), onDuplicate: 'replace' });
    const second = await port.enqueue(message);
    const third = await port.enqueue(fresh({ queue, orderKey }));
    const other = await port.enqueue(fresh({ queue, orderKey: 'other' }));
    await port.enqueue({ ...message, orderKey: 'other' });
    const claimed = await claim(queue);
    assert.deepEqual(idsOf(claimed).toSorted(), [ids[0]!, other.id].toSorted());
    for (const one of claimed) await deliver(bench, one);
    assert.deepEqual(idsOf(await claim(queue)).toSorted(), [second.id, third.id].toSorted());
  }),

  outboxCase('one that gets no order key waits for nothing, and its key goes on', async (bench) => {
    const { port, fresh, key, claim } = bench;
    const { queue } = fresh();
    const message = fresh({ queue, orderKey, deliveryKey: key(), onDuplicate: 'replace' });
    const first = await port.enqueue(message);
    const second = await port.enqueue(fresh({ queue, orderKey }));
    await port.enqueue({ ...message, orderKey: undefined });
    assert.deepEqual(idsOf(await claim(queue)).toSorted(), [first.id, second.id].toSorted());
  }),

  outboxCase('K: one that is moved to a later time holds back those behind it', async (bench) => {
    const { port, fresh, key, claim } = bench;
    const { queue, ids } = await record(bench, 1);
    const message = fresh({ queue, orderKey, deliveryKey: key(), onDuplicate: 'replace' });
    await port.enqueue(message);
    await port.enqueue(fresh({ queue, orderKey }));
    await port.enqueue({ ...message, availableAt: new Date(Date.now() + 3_600_000) });
    await deliver(bench, await claimOne(bench, queue, ids[0]));
    assert.deepEqual(await claim(queue), []);
  }),

  outboxCase(
    'K: one that follows a message of its key that failed takes its place behind it',
    async (bench) => {
      const { port, fresh, key, claim } = bench;
      const { queue } = fresh();
      const message = fresh({ queue, orderKey, deliveryKey: key(), onDuplicate: 'replace' });
      const first = await port.enqueue(message);
      const { id, claimToken } = await claimOne(bench, queue, first.id);
      const second = await port.enqueue({ ...message, payload: 'newer' });
      const third = await port.enqueue(fresh({ queue, orderKey }));
      assert.equal(second.duplicate, false);
      assert.deepEqual(await claim(queue), []);
      await port.markFailed(id, claimToken, 'no', { delayMs: 3_600_000 });
      await port.expire(10); // it passes the key on
      const replaced = await claimOne(bench, queue, second.id);
      await deliver(bench, replaced);
      await claimOne(bench, queue, third.id);
    },
  ),
];
