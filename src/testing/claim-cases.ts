// Conformance cases of OutboxPort: claiming messages and extending their leases.

import assert from 'node:assert/strict';
import { foreignToken, outboxCase, request, type OutboxCase } from './outbox-case.ts';

export const claimCases: readonly OutboxCase[] = [
  outboxCase('E: an attempt counts when it is claimed', async ({ claimed, see }) => {
    const { id } = await claimed();
    const { status, attempts } = await see(id);
    assert.deepEqual({ status, attempts }, { status: 'sending', attempts: 1 });
  }),

  outboxCase('C: two claims never hold the same message', async ({ enqueue, claim }) => {
    const { queue } = await enqueue();
    const both = await Promise.all([claim(queue), claim(queue)]);
    assert.equal(both.flat().length, 1);
  }),

  outboxCase(
    'claims no more than the limit, the most urgent first, and nothing that is not due',
    async ({ port, fresh, enqueue, claim }) => {
      const { queue } = await enqueue({ priority: -5 });
      await port.enqueue([
        fresh({ queue, priority: 7, payload: 'urgent' }),
        fresh({ queue, priority: 9, availableAt: new Date(Date.now() + 3_600_000) }),
      ]);
      const [first, ...others] = await claim(queue, 1);
      assert.deepEqual([first?.payload, others], ['urgent', []]);
      assert.equal((await claim(queue)).length, 1);
      assert.deepEqual(await claim(queue), []);
      assert.deepEqual(await claim(queue, 0), []);
    },
  ),

  outboxCase('claims in the order of the due times', async ({ port, fresh, claim }) => {
    const ages = [1, 4, 2, 5, 3];
    const at = (age: number) => fresh({ payload: age, availableAt: new Date(Date.now() - age * 60_000) });
    const first = at(ages[0]!);
    await port.enqueue([first, ...ages.slice(1).map((age) => ({ ...at(age), queue: first.queue }))]);
    const claimed = await claim(first.queue);
    assert.deepEqual(
      claimed.map(({ payload }) => payload),
      [5, 4, 3, 2, 1],
    );
  }),

  outboxCase(
    'takes turns between groups; messages without one are a group',
    async ({ port, fresh, enqueue, claim }) => {
      const { queue } = await enqueue({ group: 'big' });
      const of = (group: string | undefined, n: number) =>
        Array.from({ length: n }, () => fresh({ queue, ...(group === undefined ? {} : { group }) }));
      await port.enqueue([...of('big', 20), ...of(undefined, 2), ...of('small', 2)]);
      const groups = (await claim(queue, 6)).map(({ group }) => group ?? 'none').toSorted();
      assert.deepEqual(groups, ['big', 'big', 'none', 'none', 'small', 'small']);
      assert.equal((await claim(queue, 100)).length, 19);
    },
  ),

  outboxCase('says whether a queue has a due message, if it can', async ({ port, fresh, enqueue, claim }) => {
    if (!port.hasDue) return;
    const later = fresh({ availableAt: new Date(Date.now() + 3_600_000) });
    await port.enqueue(later);
    assert.equal(await port.hasDue(later.queue), false);
    const { queue } = await enqueue();
    assert.equal(await port.hasDue(queue), true);
    await claim(queue);
    assert.equal(await port.hasDue(queue), false);
  }),

  outboxCase('claims by id, kind and queue', async ({ port, enqueue }) => {
    const { id, queue } = await enqueue();
    assert.deepEqual(await port.claimBatch({ ...request, ids: [] }), []);
    assert.deepEqual(await port.claimBatch({ ...request, ids: [foreignToken] }), []);
    assert.deepEqual(await port.claimBatch({ ...request, queues: [queue], kinds: ['email'] }), []);
    const [message] = await port.claimBatch({ ...request, ids: [id] });
    const { kind, name, attempt, maxAttempts, deliveryKey, createdAt } = message!;
    assert.deepEqual(
      { id: message!.id, kind, name, queue: message!.queue, attempt, maxAttempts, deliveryKey },
      { id, kind: 'job', name: 'suite.job', queue, attempt: 1, maxAttempts: 3, deliveryKey: null },
    );
    assert.ok(createdAt instanceof Date && !Number.isNaN(createdAt.getTime()), 'createdAt is a Date');
  }),

  outboxCase('C: only the holder extends', async ({ port, claimed }) => {
    const { id, claimToken } = await claimed();
    assert.deepEqual(await port.extend([{ id, claimToken }], 60_000), [id]);
    assert.deepEqual(await port.extend([{ id, claimToken: foreignToken }], 60_000), []);
    assert.deepEqual(await port.extend([], 60_000), []);
  }),
];
