// Conformance cases of OutboxPort: expired leases, and work that is done once for a key.

import assert from 'node:assert/strict';
import type { Status } from '../message/message.ts';
import type { Expired } from '../outbox/port.ts';
import { idsOf, outboxCase, request, type Bench, type OutboxCase } from './outbox-case.ts';

/** Claims with a lease of 1 ms, and repeats `expire` until the claim has ended. */
async function lapse({ port }: Bench, queue: string): Promise<Expired> {
  await port.claimBatch({ ...request, limit: 1, leaseMs: 1, queues: [queue] });
  for (;;) {
    const ended = (await port.expire(1_000)).find((one) => one.queue === queue);
    if (ended) return ended;
  }
}

/** Waits until these leases have expired, and returns status and attempts of each message. */
async function expireAll({ port, see }: Bench, ids: readonly string[]): Promise<[Status, number][]> {
  for (;;) {
    await port.expire(1_000);
    const seen = await Promise.all(ids.map(see));
    if (!seen.some(({ status }) => status === 'sending'))
      return seen.map(({ status, attempts }) => [status, attempts]);
  }
}

export const expiryCases: readonly OutboxCase[] = [
  outboxCase('B: a lease that ran out makes the message due again, and the attempt counts', async (bench) => {
    const { id, queue } = await bench.enqueue({ requestId: 'r-1' });
    const { status, attempts, maxAttempts, requestId, ...rest } = await lapse(bench, queue);
    assert.deepEqual(
      { id: rest.id, kind: rest.kind, status, attempts, maxAttempts, requestId },
      { id, kind: 'job', status: 'failed', attempts: 1, maxAttempts: 3, requestId: 'r-1' },
    );
    const [again] = await bench.claim(queue);
    assert.deepEqual([again?.id, again?.attempt], [id, 2]);
    assert.ok(!(await bench.port.expire(1_000)).some((one) => one.id === id));
  }),

  outboxCase('E: a lease that ran out in the last attempt is the end', async (bench) => {
    const { id, queue } = await bench.enqueue({ maxAttempts: 1 });
    assert.equal((await lapse(bench, queue)).status, 'dead');
    const { status, attempts } = await bench.see(id);
    assert.deepEqual([status, attempts], ['dead', 1]);
    assert.deepEqual(await bench.claim(queue), []);
  }),

  outboxCase(
    'E: what was prefetched and did not begin gets its attempt back; what began has used it',
    async (bench) => {
      const { id } = await bench.enqueue();
      const ahead = { ...request, ids: [id], begins: 0 };
      const [first] = await bench.port.claimBatch({ ...ahead, leaseMs: 1 });
      assert.equal(first?.prefetched, true);
      assert.deepEqual(await expireAll(bench, [id]), [['failed', 0]]);
      const [second] = await bench.port.claimBatch(ahead);
      assert.deepEqual(await bench.port.extend([second!], 1), [id]); // it begins
      assert.deepEqual(await expireAll(bench, [id]), [['failed', 1]]);
    },
  ),

  outboxCase('E: what is on its last attempt is not prefetched, the others are', async (bench) => {
    const { id, queue } = await bench.enqueue({ maxAttempts: 1 });
    const ids = [id, (await bench.enqueue({ queue })).id, (await bench.enqueue({ queue })).id];
    const these = { ...request, ids: ids.toReversed() };
    const ahead = await bench.port.claimBatch({ ...these, begins: 0 });
    assert.deepEqual(idsOf(ahead).toSorted(), ids.slice(1).toSorted());
    const [last] = await bench.port.claimBatch({ ...these, begins: 1 });
    assert.deepEqual([last?.id, last?.prefetched], [id, false]);
  }),

  outboxCase(
    'E, F: a last attempt that began with others is repeated once, apart from them; alone it is the end',
    async (bench) => {
      const { id, queue } = await bench.enqueue({ maxAttempts: 1 });
      const other = await bench.enqueue({ queue });
      const ids = [id, other.id];
      const short = { ...request, leaseMs: 1, workerId: `suite ${id}`, begins: 5 };
      assert.equal((await bench.port.claimBatch({ ...short, ids })).length, 2);
      assert.deepEqual(await expireAll(bench, ids), [
        ['failed', 0],
        ['failed', 1],
      ]);
      const [suspect, none] = await bench.port.claimBatch({ ...short, ids, suspects: true });
      assert.deepEqual([suspect?.id, none], [id, undefined]);
      assert.deepEqual(await expireAll(bench, [id]), [['dead', 1]]);
    },
  ),

  outboxCase('F: what a worker died with twice can be claimed apart from the rest', async (bench) => {
    const { id, queue } = await bench.enqueue();
    await lapse(bench, queue);
    const its = { ...request, queues: [queue] };
    const [once] = await bench.port.claimBatch({ ...its, leaseMs: 1, suspects: false });
    assert.equal(once?.id, id);
    await expireAll(bench, [id]);
    const fine = await bench.enqueue({ queue });
    const others = await bench.port.claimBatch({ ...its, suspects: false });
    assert.deepEqual(idsOf(others), [fine.id]);
    const suspects = await bench.port.claimBatch({ ...its, suspects: true });
    assert.deepEqual(idsOf(suspects), [id]);
  }),
];

export const onceCases: readonly OutboxCase[] = [
  outboxCase('does something once for each scope and key, and keeps the answer', async ({ port, key }) => {
    const about = { scope: 's', key: key() };
    let runs = 0;
    const make = async (): Promise<unknown> => ({ run: ++runs, text: 'a\0b' });
    const answer = { run: 1, text: 'a\0b' };
    assert.deepEqual(await port.once(about, make), { answer, repeated: false });
    assert.deepEqual(await port.once(about, make), { answer, repeated: true });
    assert.equal((await port.once({ ...about, scope: 't' }, make)).repeated, false);
    assert.equal(runs, 2);
  }),

  outboxCase(
    'the same key with another fingerprint is a mistake; an old key is none',
    async ({ port, key }) => {
      const about = { scope: 's', key: key(), fingerprint: 'a' };
      await port.once(about, async () => 1);
      const other = port.once({ ...about, fingerprint: 'b' }, async () => 2);
      await assert.rejects(other, { code: 'idempotency_key_reused' });
      const later = await port.once({ ...about, fingerprint: 'b', maxAgeMs: -1 }, async () => 3);
      assert.deepEqual(later, { answer: 3, repeated: false });
    },
  ),
];
