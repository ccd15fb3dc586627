// Conformance cases of OutboxPort: messages that replace others with the same delivery key, and debounced ones.

import assert from 'node:assert/strict';
import type { NewMessage } from '../message/message.ts';
import { idsOf, outboxCase, type Bench, type OutboxCase } from './outbox-case.ts';

/** Options that contradict one another, and the code of the refusal. */
const refused: readonly (readonly [string, Partial<NewMessage>, string])[] = [
  ['a replacement without a key', { onDuplicate: 'replace' }, 'debounce_needs_key'],
  ['`keep` without a key', { onDuplicate: 'keep' }, 'debounce_needs_key'],
  ['a debounce without a key', { debounce: '1s' }, 'debounce_needs_key'],
  ['an unknown onDuplicate', { deliveryKey: 'k', onDuplicate: 'merge' as 'keep' }, 'on_duplicate_invalid'],
  ['no debounce at all', { deliveryKey: 'k', debounce: '0s' }, 'debounce_invalid'],
  ['a negative debounce', { deliveryKey: 'k', debounce: -1 }, 'debounce_invalid'],
  ['a debounce of 31 days', { deliveryKey: 'k', debounce: '31d' }, 'debounce_invalid'],
  ['a debounce that is no duration', { deliveryKey: 'k', debounce: 'soon' as '1s' }, 'debounce_invalid'],
  [
    'a debounce with a time',
    { deliveryKey: 'k', debounce: '1s', availableAt: new Date() },
    'debounce_invalid',
  ],
  ['a debounce that keeps', { deliveryKey: 'k', debounce: '1s', onDuplicate: 'keep' }, 'debounce_invalid'],
  ['a maxWait alone', { deliveryKey: 'k', onDuplicate: 'replace', maxWait: '1m' }, 'max_wait_invalid'],
  ['a maxWait below debounce', { deliveryKey: 'k', debounce: '2s', maxWait: '1s' }, 'max_wait_invalid'],
  ['a maxWait above a year', { deliveryKey: 'k', debounce: '2s', maxWait: '366d' }, 'max_wait_invalid'],
];

const refusals = refused.map(([what, over, code]) =>
  outboxCase(`refuses ${what} and records nothing`, async ({ port, fresh, claim }) => {
    const good = fresh();
    await assert.rejects(port.enqueue([good, fresh(over)]), { code });
    assert.deepEqual(await claim(good.queue), []);
  }),
);

/** A message of one key and queue, which replaces. */
function keyed({ fresh, key }: Bench): (over?: Partial<NewMessage>) => NewMessage {
  const same = { queue: fresh().queue, deliveryKey: key() };
  return (over) => fresh({ ...same, onDuplicate: 'replace', ...over });
}

export const replaceCases: readonly OutboxCase[] = [
  outboxCase('a replacement gives the message that waits its payload, priority and queue', async (bench) => {
    const { port, fresh, claim } = bench;
    const message = keyed(bench);
    const first = await port.enqueue(message({ payload: 1, onDuplicate: undefined }));
    const { queue } = fresh();
    const second = await port.enqueue(message({ payload: 2, priority: 4, maxAttempts: 7, queue }));
    assert.deepEqual(second, { ...first, duplicate: true, replaced: true });
    assert.deepEqual(await claim(message().queue), []);
    const [claimed, ...others] = await claim(queue);
    assert.deepEqual([claimed?.id, claimed?.payload, claimed?.maxAttempts], [first.id, 2, 7]);
    assert.deepEqual(others, []);
  }),

  outboxCase('a replacement keeps the time, unless it names one', async (bench) => {
    const { port, claim } = bench;
    const message = keyed(bench);
    const later = new Date(Date.now() + 3_600_000);
    await port.enqueue(message({ availableAt: later }));
    await port.enqueue(message());
    assert.deepEqual(await claim(message().queue), []);
    await port.enqueue(message({ availableAt: new Date(Date.now() - 1_000) }));
    assert.equal((await claim(message().queue)).length, 1);
  }),

  outboxCase('`keep` leaves the message that a replacement recorded', async (bench) => {
    const { port, claim } = bench;
    const message = keyed(bench);
    const { id } = await port.enqueue(message({ payload: 1 }));
    const kept = await port.enqueue(message({ payload: 2, onDuplicate: 'keep' }));
    assert.deepEqual(kept, { id, status: 'pending', duplicate: true });
    assert.equal((await claim(message().queue))[0]?.payload, 1);
  }),

  outboxCase('of the replacements in one call the last wins, each with its answer', async (bench) => {
    const { port, fresh, claim } = bench;
    const message = keyed(bench);
    const all = await port.enqueue([message({ payload: 1 }), fresh(), message({ payload: 2 })]);
    assert.deepEqual(
      all.map(({ duplicate, replaced }) => [duplicate, replaced]),
      [
        [false, undefined],
        [false, undefined],
        [true, true],
      ],
    );
    assert.equal(all[2]!.id, all[0]!.id);
    assert.deepEqual(
      (await claim(message().queue)).map(({ payload }) => payload),
      [2],
    );
  }),

  outboxCase(
    'what is being sent is not changed: the newer message waits until it has ended',
    async (bench) => {
      const { port, claimed, claim, see } = bench;
      const message = keyed(bench);
      const older = await claimed(message({ payload: 1 }));
      const newer = await port.enqueue(message({ payload: 2 }));
      assert.equal(newer.duplicate, false);
      const again = await port.enqueue(message({ payload: 3 }));
      assert.deepEqual(again, { ...newer, duplicate: true, replaced: true });
      await port.expire(1_000);
      assert.deepEqual(await claim(older.queue), []);
      assert.equal(await port.markDelivered(older.id, older.claimToken), true);
      await port.expire(1_000);
      const [next] = await claim(older.queue);
      assert.deepEqual([next?.id, next?.payload, next?.deliveryKey], [newer.id, 3, message().deliveryKey]);
      assert.equal((await see(older.id)).status, 'delivered');
    },
  ),

  outboxCase(
    'an older message that failed is cancelled, and the newer one has all its attempts',
    async (bench) => {
      const { port, claimed, claim, see } = bench;
      const message = keyed(bench);
      const older = await claimed(message({ payload: 1 }));
      const newer = await port.enqueue(message({ payload: 2 }));
      await port.markFailed(older.id, older.claimToken, 'no', { delayMs: 3_600_000 });
      await port.expire(1_000);
      const { status, lastError } = await see(older.id);
      assert.equal(status, 'cancelled');
      assert.match(lastError ?? '', /^superseded/);
      const [next] = await claim(older.queue);
      assert.deepEqual([next?.id, next?.payload, next?.attempt], [newer.id, 2, 1]);
    },
  ),

  outboxCase('a message that was tried before is not replaced in place', async (bench) => {
    const { port, claimed, claim } = bench;
    const message = keyed(bench);
    const older = await claimed(message({ payload: 1 }));
    await port.markFailed(older.id, older.claimToken, 'no', { delayMs: 3_600_000 });
    const newer = await port.enqueue(message({ payload: 2 }));
    assert.notEqual(newer.id, older.id);
    await port.expire(1_000);
    assert.deepEqual(idsOf(await claim(older.queue)), [newer.id]);
  }),

  outboxCase('a dead older message does not hold the newer one up', async (bench) => {
    const { port, claimed, claim } = bench;
    const message = keyed(bench);
    const older = await claimed(message({ payload: 1 }));
    const newer = await port.enqueue(message({ payload: 2 }));
    await port.markFailed(older.id, older.claimToken, 'no', { permanent: true });
    const kept = await port.enqueue(message({ onDuplicate: 'keep' }));
    assert.deepEqual(kept, { id: newer.id, status: 'pending', duplicate: true });
    await port.expire(1_000);
    assert.deepEqual(idsOf(await claim(older.queue)), [newer.id]);
  }),

  outboxCase('when the newer message is cancelled, the older one goes on', async (bench) => {
    const { port, claimed, claim } = bench;
    const message = keyed(bench);
    const older = await claimed(message({ payload: 1 }));
    const newer = await port.enqueue(message({ payload: 2 }));
    assert.equal(await port.cancel(newer.id), true);
    await port.markFailed(older.id, older.claimToken, 'no');
    await port.expire(1_000);
    assert.deepEqual(idsOf(await claim(older.queue)), [older.id]);
  }),

  outboxCase('after a delivery a replacement records anew, and `keep` does not', async (bench) => {
    const { port, claimed, claim } = bench;
    const message = keyed(bench);
    const first = await claimed(message());
    await port.markDelivered(first.id, first.claimToken);
    const kept = await port.enqueue(message({ onDuplicate: 'keep' }));
    assert.deepEqual(kept, { id: first.id, status: 'delivered', duplicate: true });
    const second = await port.enqueue(message());
    assert.equal(second.duplicate, false);
    const keptAgain = await port.enqueue(message({ onDuplicate: 'keep' }));
    assert.deepEqual(keptAgain, { id: second.id, status: 'pending', duplicate: true });
    assert.deepEqual(idsOf(await claim(first.queue)), [second.id]);
  }),

  outboxCase('a debounced message is due after the pause, each recording moves it', async (bench) => {
    const { port, claim } = bench;
    const message = keyed(bench);
    const debounced = (n: number, debounce: '1h' | 1): NewMessage =>
      message({ payload: n, debounce, onDuplicate: undefined });
    const first = await port.enqueue(debounced(1, 1));
    const second = await port.enqueue(debounced(2, '1h'));
    assert.deepEqual(second, { ...first, duplicate: true, replaced: true });
    assert.deepEqual(await claim(message().queue), []);
    await port.enqueue(debounced(3, 1));
    let got = await claim(message().queue);
    while (got.length === 0) got = await claim(message().queue);
    assert.deepEqual([got[0]!.id, got[0]!.payload], [first.id, 3]);
  }),

  outboxCase(
    'a delivery adds no message that would replace another',
    async ({ port, claimed, fresh, key, see }) => {
      const { id, claimToken } = await claimed({ kind: 'event' });
      const child = fresh({ deliveryKey: key(), debounce: '1s' });
      await assert.rejects(port.markDelivered(id, claimToken, [child]), { code: 'options_invalid' });
      assert.equal((await see(id)).status, 'sending');
    },
  ),

  ...refusals,
];
