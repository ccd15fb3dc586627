import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  createMemoryOutbox,
  createOutboxEventRecorder,
  createOutboxJobDispatcher,
  defineAction,
  defineEvent,
  defineJob,
  enqueueEmail,
  enqueueJob,
  type ActionContext,
  type EnqueueOptions,
  type MemoryOutbox,
} from '../../src/index.ts';
import { runAction } from '../../src/testing.ts';

// Real: every function that records. Doubled: the outbox is the one in memory.

const payload = z.object({});
const job = defineJob({ name: 'work', payload, handler: async () => undefined });
const event = defineEvent({ name: 'happened', payload });
const email = { from: 'a@shop.test', to: 'b@customers.test', subject: 's', text: 't' };

type Way = (outbox: MemoryOutbox, flow: EnqueueOptions) => Promise<unknown>;
const inAction =
  (record: (ctx: ActionContext<typeof event>, flow: EnqueueOptions) => Promise<unknown>): Way =>
  (outbox, flow) =>
    runAction(
      defineAction({
        name: 'act',
        access: 'public',
        args: z.object({}),
        emits: [event],
        handler: async (ctx) => void (await record(ctx, flow)),
      }),
      {},
      { outbox },
    );

const ways: readonly (readonly [string, Way])[] = [
  ['enqueue', (outbox, flow) => outbox.enqueue({ kind: 'job', name: 'n', queue: 'q', payload: {}, ...flow })],
  ['enqueueJob', (outbox, flow) => enqueueJob(outbox, job, {}, flow)],
  ['enqueueEmail', (outbox, flow) => enqueueEmail(outbox, { ...email, ...flow })],
  [
    'record of createOutboxEventRecorder',
    (outbox, flow) => createOutboxEventRecorder(outbox).record(event, {}, flow),
  ],
  [
    'dispatch of createOutboxJobDispatcher',
    (outbox, flow) => createOutboxJobDispatcher(outbox).dispatch(job, {}, flow),
  ],
  ['ctx.jobs.dispatch', inAction((ctx, flow) => ctx.jobs.dispatch(job, {}, flow))],
  ['ctx.jobs.dispatchMany', inAction((ctx, flow) => ctx.jobs.dispatchMany(job, [{ payload: {}, ...flow }]))],
  ['ctx.events.record', inAction((ctx, flow) => ctx.events.record(event, {}, flow))],
  [
    'ctx.events.recordMany',
    inAction((ctx, flow) => ctx.events.recordMany(event, [{ payload: {}, ...flow }])),
  ],
  ['ctx.email.enqueue', inAction((ctx, flow) => ctx.email.enqueue({ ...email, ...flow }))],
  ['ctx.email.enqueue of many', inAction((ctx, flow) => ctx.email.enqueue([{ ...email, ...flow }]))],
];

const invalid: readonly (readonly [string, unknown])[] = [
  ['an empty text', ''],
  ['201 characters', 'x'.repeat(201)],
  ['U+0000', 'a\0b'],
  ['a control character', 'a\u009fb'],
  ['half of a surrogate pair', 'a\udc00'],
  ['a number', 7],
  ['null', null],
];

it('onDead is stored with a job that has an order key, and an unknown one is refused', async () => {
  const outbox = createMemoryOutbox();
  const skips = defineJob({ name: 'skips', payload, onDead: 'skip', handler: async () => undefined });
  await enqueueJob(outbox, skips, {}, { orderKey: 'k' });
  await enqueueJob(outbox, job, {}, { orderKey: 'k' });
  expect(outbox.messages.map(({ onDead }) => onDead)).toEqual(['skip', 'block']);
  expect(() =>
    defineJob({ name: 'odd', payload, onDead: 'wait' as never, handler: async () => undefined }),
  ).toThrow(/onDead must be block or skip/);
  const message = { kind: 'job', name: 'n', queue: 'q', payload: {}, onDead: 'wait' as never } as const;
  await expect(outbox.enqueue(message)).rejects.toMatchObject({ code: 'on_dead_invalid' });
});

describe.each(ways)('%s', (_, record) => {
  it('takes a group and an order key of 200 characters', async () => {
    const outbox = createMemoryOutbox();
    const flow = { group: '𝒯'.repeat(200), orderKey: 'k'.repeat(200) };
    await record(outbox, flow);
    expect(outbox.messages).toMatchObject([flow]);
  });

  it('takes tags, and folds duplicates', async () => {
    const outbox = createMemoryOutbox();
    await record(outbox, { tags: ['tenant:acme', 'order:4711', 'tenant:acme'] });
    expect(outbox.messages).toMatchObject([{ tags: ['tenant:acme', 'order:4711'] }]);
  });

  it.each(invalid)('refuses %s as a tag, and records nothing', async (__, value) => {
    const outbox = createMemoryOutbox();
    await expect(record(outbox, { tags: ['fine', value as string] })).rejects.toMatchObject({
      code: 'tags_invalid',
    });
    expect(outbox.messages).toEqual([]);
  });

  it.each(invalid)('refuses %s as either, and records nothing', async (__, value) => {
    const outbox = createMemoryOutbox();
    await expect(record(outbox, { group: value as string })).rejects.toMatchObject({ code: 'group_invalid' });
    await expect(record(outbox, { orderKey: value as string })).rejects.toMatchObject({
      code: 'order_key_invalid',
    });
    expect(outbox.messages).toEqual([]);
  });
});
