// Conformance cases of OutboxPort: recording messages.

import assert from 'node:assert/strict';
import type { NewMessage } from '../message/message.ts';
import { outboxCase, type OutboxCase } from './outbox-case.ts';

/** An invalid part of a message, and the code of the refusal. */
const refused: readonly (readonly [string, Partial<NewMessage>, string])[] = [
  ['U+0000 in the payload', { payload: { a: ['x\0'] } }, 'null_character'],
  ['U+0000 in a key', { payload: { 'a\0': 1 } }, 'null_character'],
  ['half a surrogate pair', { payload: { a: '\ud800' } }, 'invalid_unicode'],
  ['a payload that JSON cannot hold', { payload: { a: 1n } }, 'payload_not_json'],
  ['no payload', { payload: undefined }, 'payload_not_json'],
  ['a payload that is too large', { payload: 'x'.repeat(300_000) }, 'payload_too_large'],
  ['a kind that is none', { kind: 'carrier-pigeon' as 'job' }, 'unknown_kind'],
  ['an empty name', { name: '' }, 'name_invalid'],
  ['a queue with a slash', { queue: 'a/b' }, 'queue_invalid'],
  ['an empty delivery key', { deliveryKey: '' }, 'delivery_key_invalid'],
  ['a delivery key with a line break', { deliveryKey: 'a\nb' }, 'delivery_key_invalid'],
  ['a delivery key of a megabyte', { deliveryKey: 'k'.repeat(1_000_000) }, 'delivery_key_invalid'],
  ['an empty group', { group: '' }, 'group_invalid'],
  ['a group of 201 characters', { group: 'g'.repeat(201) }, 'group_invalid'],
  ['a group with U+0000', { group: 'a\0b' }, 'group_invalid'],
  ['a group with half a surrogate pair', { group: 'a\ud800' }, 'group_invalid'],
  ['a group that is no text', { group: 7 as never }, 'group_invalid'],
  ['an empty order key', { orderKey: '' }, 'order_key_invalid'],
  ['an order key of 201 characters', { orderKey: 'k'.repeat(201) }, 'order_key_invalid'],
  ['an order key with U+0000', { orderKey: 'a\0b' }, 'order_key_invalid'],
  ['an order key with a line break', { orderKey: 'a\nb' }, 'order_key_invalid'],
  ['an order key that is no text', { orderKey: null as never }, 'order_key_invalid'],
  ['an empty tag', { tags: ['a', ''] }, 'tags_invalid'],
  ['a tag of 201 characters', { tags: ['t'.repeat(201)] }, 'tags_invalid'],
  ['a tag with a line break', { tags: ['a\nb'] }, 'tags_invalid'],
  ['a tag with half a surrogate pair', { tags: ['a\ud800'] }, 'tags_invalid'],
  ['a tag that is no text', { tags: [7 as never] }, 'tags_invalid'],
  ['tags that are no list', { tags: 'tenant:acme' as never }, 'tags_invalid'],
  ['21 tags', { tags: Array.from({ length: 21 }, (_, n) => `tag ${n}`) }, 'tags_invalid'],
  ['no attempts', { maxAttempts: 0 }, 'max_attempts_invalid'],
  ['half an attempt', { maxAttempts: 1.5 }, 'max_attempts_invalid'],
  ['a priority beyond an int', { priority: 2 ** 31 }, 'priority_invalid'],
  ['an invalid date', { availableAt: new Date(Number.NaN) }, 'invalid_time'],
  ['a date in the year 20000', { availableAt: new Date(Date.UTC(20_000, 0)) }, 'invalid_time'],
];

const refusals = refused.map(([what, over, code]) =>
  outboxCase(
    `refuses ${what} and records nothing, good neighbours included`,
    async ({ port, fresh, claim }) => {
      const good = fresh();
      await assert.rejects(port.enqueue([good, fresh(over)]), { code });
      assert.deepEqual(await claim(good.queue), []);
    },
  ),
);

export const recordCases: readonly OutboxCase[] = [
  outboxCase(
    'gives one answer for each message of an array, in their order',
    async ({ port, fresh, key }) => {
      const deliveryKey = key();
      const answers = await port.enqueue([fresh({ deliveryKey }), fresh(), fresh({ deliveryKey })]);
      assert.equal(answers.length, 3);
      assert.deepEqual(answers[2], { id: answers[0]!.id, status: 'pending', duplicate: true });
      assert.deepEqual(await port.enqueue([]), []);
    },
  ),

  outboxCase(
    'a delivery key that stands records nothing and gives the first id',
    async ({ port, fresh, key }) => {
      const deliveryKey = key();
      const first = await port.enqueue(fresh({ deliveryKey }));
      assert.equal(first.duplicate, false);
      assert.deepEqual(await port.enqueue(fresh({ deliveryKey })), { ...first, duplicate: true });
      assert.equal((await port.enqueue(fresh({ deliveryKey, name: 'other' }))).duplicate, false);
    },
  ),

  outboxCase(
    'a dead or cancelled holder does not swallow the next message',
    async ({ port, claimed, enqueue, key }) => {
      const [dies, stops] = [key(), key()];
      const dead = await claimed({ deliveryKey: dies });
      await port.markFailed(dead.id, dead.claimToken, 'no', { permanent: true });
      assert.equal((await enqueue({ deliveryKey: dies })).duplicate, false);
      await port.cancel((await enqueue({ deliveryKey: stops })).id);
      assert.equal((await enqueue({ deliveryKey: stops })).duplicate, false);
    },
  ),

  ...refusals,

  outboxCase(
    'keeps group and order key, of one message and of many, with and without a delivery key',
    async ({ port, fresh, key, claim }) => {
      const given = { group: '𝒯'.repeat(200), orderKey: 'an account, {"1"}' };
      const { queue } = fresh();
      const one = await port.enqueue(fresh({ queue, ...given }));
      const keyed = await port.enqueue(fresh({ queue, ...given, orderKey: 'other', deliveryKey: key() }));
      const [third, plain] = await port.enqueue([
        fresh({ queue, ...given, orderKey: 'third', deliveryKey: key() }),
        fresh({ queue }),
      ]);
      const found = new Map((await claim(queue)).map(({ id, group, orderKey }) => [id, { group, orderKey }]));
      assert.deepEqual(found.get(one.id), given);
      assert.deepEqual(found.get(keyed.id), { ...given, orderKey: 'other' });
      assert.deepEqual(found.get(third!.id), { ...given, orderKey: 'third' });
      assert.deepEqual(found.get(plain!.id), { group: null, orderKey: null });
    },
  ),

  outboxCase(
    'keeps tags, each once, of one message and of many, with and without a delivery key',
    async ({ port, fresh, key, claim }) => {
      const tags = ['tenant:acme', 'an order, {"4711"} \\ NULL', 'NULL', '𝒯'.repeat(200), 'tenant:acme'];
      const folded = tags.slice(0, 4);
      const { queue } = fresh();
      const one = await port.enqueue(fresh({ queue, tags }));
      const keyed = await port.enqueue(fresh({ queue, tags, deliveryKey: key() }));
      const [third, plain] = await port.enqueue([
        fresh({ queue, tags: tags.toReversed(), deliveryKey: key() }),
        fresh({ queue, tags: [] }),
      ]);
      const found = new Map((await claim(queue)).map(({ id, tags: its }) => [id, its]));
      assert.deepEqual(found.get(one.id), folded);
      assert.deepEqual(found.get(keyed.id), folded);
      assert.deepEqual(new Set(found.get(third!.id)), new Set(folded));
      assert.deepEqual(found.get(plain!.id), null);
    },
  ),

  outboxCase('a replaced message has the newer tags', async ({ port, fresh, key, claim }) => {
    const message = fresh({ tags: ['old'], deliveryKey: key(), onDuplicate: 'replace' });
    await port.enqueue(message);
    const { replaced } = await port.enqueue({ ...message, tags: ['new', 'newer'] });
    assert.equal(replaced, true);
    assert.deepEqual((await claim(message.queue))[0]?.tags, ['new', 'newer']);
  }),

  outboxCase('messages that a settlement adds keep their tags', async ({ port, fresh, claimed, claim }) => {
    const parent = await claimed();
    const child = fresh({ tags: ['a', 'b'] });
    await port.markDelivered(parent.id, parent.claimToken, [child]);
    assert.deepEqual((await claim(child.queue))[0]?.tags, ['a', 'b']);
  }),

  outboxCase(
    'messages that a settlement adds keep group and order key',
    async ({ port, fresh, claimed, claim }) => {
      const parent = await claimed();
      const child = fresh({ group: 'g', orderKey: 'k' });
      await port.markDelivered(parent.id, parent.claimToken, [child, fresh({ queue: child.queue })]);
      const found = (await claim(child.queue)).map(({ group, orderKey }) => ({ group, orderKey }));
      assert.deepEqual(
        found.toSorted((a, b) => String(a.group).localeCompare(String(b.group))),
        [
          { group: 'g', orderKey: 'k' },
          { group: null, orderKey: null },
        ],
      );
    },
  ),

  outboxCase('keeps a text that only looks like an escape', async ({ enqueue, claim }) => {
    const { queue } = await enqueue({ payload: { text: '\\u0000 \\ud800' } });
    assert.deepEqual((await claim(queue))[0]?.payload, { text: '\\u0000 \\ud800' });
  }),
];
