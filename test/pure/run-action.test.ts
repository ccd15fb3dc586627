import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import orders from '../../app/index.ts';
import { placeOrder } from '../../app/place-order.ts';
import {
  createMemoryOutbox,
  defineAction,
  defineEvent,
  defineJob,
  type ActionContext,
  type PgLike,
} from '../../src/index.ts';
import { runAction } from '../../src/testing.ts';

const order = {
  customerEmail: 'ann@customers.test',
  items: [{ sku: 'tea', quantity: 2, unitPriceCents: 450 }],
};
type Query = PgLike['query'];
const answering = () => ({ query: vi.fn<Query>(async () => ({ rows: [] })) });

const date = z.codec(z.iso.datetime(), z.date(), {
  decode: (text) => new Date(text),
  encode: (value) => value.toISOString(),
});
const happened = defineEvent({ name: 'happened', payload: z.object({ n: z.number() }) });
const other = defineEvent({ name: 'other', payload: z.object({}) });
const work = defineJob({
  name: 'work',
  payload: z.object({ n: z.number() }),
  handler: async () => undefined,
});

type Options = Partial<Parameters<typeof defineAction>[0]>;
function scripted(handler: (ctx: ActionContext) => Promise<unknown>, options: Options = {}) {
  return defineAction({
    name: 'scripted',
    access: 'public',
    args: z.object({}),
    emits: [happened],
    ...options,
    handler,
  });
}

describe('runAction', () => {
  it('runs the example against a fake database, and the outbox has what it enqueued', async () => {
    const outbox = createMemoryOutbox();
    const db = answering();
    const result = await runAction(placeOrder, order, { outbox, db });
    expect(outbox.messages.map(({ kind, name, status }) => [kind, name, status])).toEqual([
      ['email', 'email', 'pending'],
      ['event', 'order.placed', 'pending'],
      ['job', 'count-order', 'pending'],
    ]);
    expect(outbox.messages[0]!.deliveryKey).toBe(`receipt-${result.orderId}`);
    expect(db.query).toHaveBeenCalledTimes(1);
    expect(db.query.mock.calls[0]![0]).toContain('insert into orders');
    await runAction(placeOrder, order, { outbox, db, app: orders });
    expect(outbox.messages).toHaveLength(6);
  });

  it('checks the arguments as in production', async () => {
    const outbox = createMemoryOutbox();
    const wrong = runAction(placeOrder, { ...order, customerEmail: 'nobody' }, { outbox });
    await expect(wrong).rejects.toMatchObject({
      code: 'invalid_arguments',
      issues: [{ path: 'customerEmail' }],
    });
    expect(outbox.messages).toEqual([]);
  });

  it('decodes arguments and encodes the result', async () => {
    const tomorrow = defineAction({
      name: 'tomorrow',
      access: 'public',
      args: z.object({ day: date }),
      result: z.object({ day: date }),
      handler: async (_, { day }) => ({ day: new Date(day.getTime() + 86_400_000) }),
    });
    const outbox = createMemoryOutbox();
    const result = await runAction(tomorrow, { day: '2026-02-28T00:00:00.000Z' }, { outbox });
    expect(result.day satisfies string).toBe('2026-03-01T00:00:00.000Z');
    const plain = defineAction({
      name: 'plain',
      access: 'public',
      args: z.object({}),
      handler: () => ({ id: 7 }),
    });
    const { id } = await runAction(plain, {}, { outbox });
    expect(id satisfies number).toBe(7); // without a schema, the type of what the handler returns
    const liar = scripted(async () => ({ n: 'one' }), { result: z.object({ n: z.number() }) });
    await expect(runAction(liar, {}, { outbox })).rejects.toMatchObject({ code: 'result_invalid' });
  });

  it.each([
    ['authenticated', { type: 'anonymous' }, 'unauthorized'],
    ['system', { type: 'user' }, 'forbidden'],
  ] as const)('an action that is %s refuses an invoker that is %o', async (access, invoker, code) => {
    const who = scripted(async (ctx) => ctx.invoker.type, { access });
    const outbox = createMemoryOutbox();
    await expect(runAction(who, {}, { outbox, invoker })).rejects.toMatchObject({ code });
    expect(await runAction(who, {}, { outbox })).toBe(access === 'system' ? 'system' : 'user');
  });

  it('a query without a database says what to pass', async () => {
    const asks = scripted((ctx) => ctx.db.query('select 1'));
    const asksClient = scripted((ctx) => ctx.db.client.query('select 2'));
    const outbox = createMemoryOutbox();
    const missing = {
      code: 'test_database_missing',
      message: expect.stringMatching(/select 1.*pass db/) as string,
    };
    await expect(runAction(asks, {}, { outbox })).rejects.toMatchObject(missing);
    await expect(runAction(asksClient, {}, { outbox })).rejects.toMatchObject({
      code: 'test_database_missing',
    });
    const db = { query: vi.fn<Query>(async () => undefined as unknown as { rows: unknown[] }) };
    await expect(runAction(asks, {}, { outbox, db })).rejects.toMatchObject({
      code: 'test_database_invalid',
    });
  });

  it('undeclared events, misspelt options and actions that the application lacks are errors', async () => {
    const outbox = createMemoryOutbox();
    const sly = scripted((ctx) => ctx.events.record(other, {}));
    await expect(runAction(sly, {}, { outbox })).rejects.toMatchObject({ code: 'event_not_declared' });
    const options = { outbox, databse: 1 } as Parameters<typeof runAction>[2];
    await expect(runAction(sly, {}, options)).rejects.toThrow('databse');
    await expect(runAction(sly, {}, { outbox, app: orders })).rejects.toMatchObject({
      code: 'unknown_action',
    });
  });

  it('a job of another application cannot be dispatched when the application is given', async () => {
    const outbox = createMemoryOutbox();
    const dispatches = scripted((ctx) => ctx.jobs.dispatch(work, { n: 1 }));
    await runAction(dispatches, {}, { outbox });
    expect(outbox.messages).toMatchObject([{ kind: 'job', name: 'work', payload: { n: 1 } }]);
    const app = { ...orders, actions: [...orders.actions, dispatches] };
    await expect(runAction(dispatches, {}, { outbox, app })).rejects.toMatchObject({ code: 'unknown_job' });
  });

  it('an action that is safeToRetry needs delivery keys, and is run again after a deadlock', async () => {
    const outbox = createMemoryOutbox();
    const keyless = scripted((ctx) => ctx.jobs.dispatch(work, { n: 1 }), { safeToRetry: true });
    await expect(runAction(keyless, {}, { outbox })).rejects.toMatchObject({ code: 'delivery_key_required' });
    const handler = vi.fn<(ctx: ActionContext) => Promise<void>>(async (ctx) => {
      await ctx.jobs.dispatch(work, { n: 1 }, { deliveryKey: 'once' });
      await ctx.db.query('update t');
    });
    const query = vi
      .fn<Query>(async () => ({ rows: [] }))
      .mockRejectedValueOnce(Object.assign(new Error('deadlock detected'), { code: '40P01' }));
    await runAction(scripted(handler, { safeToRetry: true }), {}, { outbox, db: { query } });
    expect(handler).toHaveBeenCalledTimes(2);
    expect(outbox.messages).toHaveLength(1);
  });

  it('A: an abort before the end leaves nothing', async () => {
    const outbox = createMemoryOutbox();
    const leaving = new AbortController();
    const action = scripted(async (ctx) => {
      await ctx.jobs.dispatch(work, { n: 1 });
      leaving.abort(new Error('the caller left'));
    });
    await expect(runAction(action, {}, { outbox, signal: leaving.signal })).rejects.toThrow(
      'the caller left',
    );
    expect(outbox.messages).toEqual([]);
  });

  it('A: what is recorded is not in the outbox before the action has ended', async () => {
    const outbox = createMemoryOutbox();
    const action = scripted(async (ctx) => {
      await ctx.jobs.dispatch(work, { n: 1 });
      return outbox.messages.length;
    });
    expect(await runAction(action, {}, { outbox })).toBe(0);
    expect(outbox.messages).toHaveLength(1);
  });
});

/** Enqueue, or a nested transaction of steps that fails or not. */
type Step = { readonly enqueue: number } | { readonly nested: readonly Step[]; readonly fails: boolean };
const { steps } = fc.letrec<{ steps: Step[]; step: Step }>((tie) => ({
  steps: fc.array(tie('step'), { maxLength: 4 }),
  step: fc.oneof(
    { maxDepth: 4 },
    fc.record({ enqueue: fc.nat(5) }),
    fc.record({ nested: tie('steps'), fails: fc.boolean() }),
  ),
}));

async function perform(ctx: ActionContext, all: readonly Step[]): Promise<void> {
  for (const step of all) {
    if ('enqueue' in step)
      await ctx.jobs.dispatch(work, { n: step.enqueue }, { deliveryKey: `key-${step.enqueue}` });
    else
      await ctx.db
        .transaction(async () => {
          await perform(ctx, step.nested);
          if (step.fails) throw new Error('undone');
        })
        .catch((error: Error) => expect(error.message).toBe('undone'));
  }
}

/** The keys that stand, in the order in which they were first recorded. */
function standing(all: readonly Step[], before: readonly number[] = []): number[] {
  return all.reduce<number[]>(
    (keys, step) => {
      if ('enqueue' in step) return keys.includes(step.enqueue) ? keys : [...keys, step.enqueue];
      return step.fails ? keys : standing(step.nested, keys);
    },
    [...before],
  );
}

it('A: nested transactions undo what was enqueued inside them, and nothing else', async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.boolean(), async (all, fails) => {
      const outbox = createMemoryOutbox();
      const action = scripted(async (ctx) => {
        await perform(ctx, all);
        if (fails) throw new Error('at the end');
      });
      const ran = runAction(action, {}, { outbox }).catch((error: Error) => error.message);
      expect(await ran).toBe(fails ? 'at the end' : null);
      const keys = outbox.messages.map(({ deliveryKey }) => deliveryKey);
      expect(keys).toEqual(fails ? [] : standing(all).map((n) => `key-${n}`));
    }),
  );
});
