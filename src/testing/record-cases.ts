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

  outboxCase('keeps a text that only looks like an escape', async ({ enqueue, claim }) => {
    const { queue } = await enqueue({ payload: { text: '\\u0000 \\ud800' } });
    assert.deepEqual((await claim(queue))[0]?.payload, { text: '\\u0000 \\ud800' });
  }),
];
