// Conformance cases of OutboxPort: settling attempts.

import assert from 'node:assert/strict';
import type { Settlement } from '../message/outcome.ts';
import { foreignToken, idsOf, outboxCase, type OutboxCase } from './outbox-case.ts';

function delivered(id: string, claimToken: string): Settlement {
  return { id, claimToken, to: 'delivered', then: [] };
}

export const settleCases: readonly OutboxCase[] = [
  outboxCase('C: a stale token settles nothing', async ({ port, claimed, claim, see }) => {
    const first = await claimed();
    await port.markFailed(first.id, first.claimToken, 'again');
    const [second] = await claim(first.queue);
    assert.equal(await port.markDelivered(first.id, first.claimToken), false);
    assert.equal(await port.markFailed(first.id, first.claimToken, 'late'), false);
    assert.deepEqual(await see(first.id), { status: 'sending', attempts: 2, lastError: 'again' });
    assert.equal(await port.markDelivered(first.id, second!.claimToken), true);
    assert.deepEqual(await see(first.id), { status: 'delivered', attempts: 2, lastError: null });
  }),

  outboxCase('an error is kept without secrets, with its causes', async ({ port, claimed, see }) => {
    const { id, claimToken } = await claimed();
    const cause = new Error('postgres://app:pw@db.test/x refused ann@b.test \0');
    await port.markFailed(id, claimToken, new Error('no', { cause }));
    const { lastError } = await see(id);
    assert.match(lastError ?? '', /^no: postgres:\/\/\*\*\*@db\.test\/x refused a\*\*\*@b\.test \u2400/);
  }),

  outboxCase(
    'a failed message is due after its delay; the last attempt ends it',
    async ({ port, claimed, claim, see }) => {
      const one = await claimed({ maxAttempts: 2 });
      await port.markFailed(one.id, one.claimToken, 'later', { delayMs: 3_600_000 });
      assert.deepEqual(await see(one.id), { status: 'failed', attempts: 1, lastError: 'later' });
      assert.deepEqual(await claim(one.queue), []);
      const two = await claimed({ maxAttempts: 1 });
      await port.markFailed(two.id, two.claimToken, 'over');
      assert.deepEqual(await see(two.id), { status: 'dead', attempts: 1, lastError: 'over' });
    },
  ),

  outboxCase(
    'C: what is no claim is refused, and the error does not repeat a token',
    async ({ port, claimed, see }) => {
      const { id, claimToken } = await claimed();
      const wrong: [unknown, unknown][] = [
        [{ id, claimToken }, undefined],
        [id, undefined],
        [id, `${claimToken}x`],
        [[id], claimToken],
      ];
      const settles = [port.markDelivered, port.markFailed] as ((...given: unknown[]) => Promise<unknown>)[];
      for (const [first, second] of wrong)
        for (const settle of settles)
          await assert.rejects(settle(first, second, []), (error: Error & { code?: string }) => {
            assert.equal(error.code, 'claim_invalid');
            assert.ok(!error.message.includes(claimToken.slice(0, 13)));
            return true;
          });
      assert.deepEqual(await see(id), { status: 'sending', attempts: 1, lastError: null });
    },
  ),

  outboxCase('a released message has its attempt back', async ({ port, claimed, claim, see }) => {
    const { id, claimToken, queue } = await claimed();
    await port.settle([{ id, claimToken, to: 'released', error: null, delay: 0 }]);
    assert.deepEqual(await see(id), { status: 'pending', attempts: 0, lastError: null });
    assert.equal((await claim(queue)).length, 1);
  }),

  outboxCase(
    'a delivery adds its messages if and only if it was recorded',
    async ({ port, claimed, claim, fresh }) => {
      const event = await claimed({ kind: 'event' });
      const child = fresh({ kind: 'listener' });
      assert.equal(await port.markDelivered(event.id, foreignToken, [child]), false);
      assert.deepEqual(await claim(child.queue), []);
      assert.equal(await port.markDelivered(event.id, event.claimToken, [child]), true);
      assert.equal((await claim(child.queue)).length, 1);
    },
  ),

  outboxCase(
    'B: a message that a delivery adds may be longer than the limit, because it repeats a payload that was within it',
    async ({ port, claimed, claim, fresh }) => {
      const { id, claimToken } = await claimed();
      const child = fresh({ payload: 'x'.repeat(300_000) });
      await assert.rejects(port.markDelivered(id, claimToken, [child]), { code: 'payload_too_large' });
      const settled = await port.settle([{ id, claimToken, to: 'delivered', then: [child] }]);
      assert.deepEqual(idsOf(settled), [id]);
      assert.equal((await claim(child.queue)).length, 1);
    },
  ),

  outboxCase(
    'a batch settles what it may and leaves the rest out of the answer',
    async ({ port, claimed }) => {
      const [one, two] = [await claimed(), await claimed()];
      const dead = { to: 'dead', error: 'x', ambiguous: false } as const;
      const stale: Settlement = { ...dead, id: two.id, claimToken: foreignToken };
      const settled = await port.settle([delivered(one.id, one.claimToken), stale]);
      assert.equal(settled[0]?.status, 'delivered');
      assert.deepEqual(idsOf(settled), [one.id]);
      assert.deepEqual(await port.settle([]), []);
    },
  ),

  outboxCase('C: an end counts under the token of its own message alone', async ({ port, claimed }) => {
    const [one, two] = [await claimed(), await claimed()];
    const swapped = [delivered(one.id, two.claimToken), delivered(two.id, one.claimToken)];
    assert.deepEqual(await port.settle(swapped), []);
    const settled = await port.settle([one, two].map(({ id, claimToken }) => delivered(id, claimToken)));
    assert.deepEqual(idsOf(settled).toSorted(), [one.id, two.id].toSorted());
  }),
];
