import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { placeOrder } from '../../app/place-order.ts';
import orders from '../../app/index.ts';
import { defineAction } from '../../src/define/action.ts';
import { defineApp } from '../../src/define/app.ts';
import type { ActionContext } from '../../src/define/context.ts';
import { defineEndpoint } from '../../src/define/endpoint.ts';
import { defineEvent } from '../../src/define/event.ts';
import { defineJob } from '../../src/define/job.ts';
import type { WaybillError } from '../../src/errors.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testWeb, type TestWeb } from '../support/web.ts';

const args = z.object({});
const declared = defineEvent({ name: 'declared', payload: z.object({ n: z.number() }) });
const undeclared = defineEvent({ name: 'undeclared', payload: z.object({}) });
const at = z.codec(z.iso.datetime(), z.date(), {
  decode: (text) => new Date(text),
  encode: (date) => date.toISOString(),
});
const job = defineJob({
  name: 'job',
  payload: z.object({ at }),
  queue: 'slow',
  retry: { maxAttempts: 3 },
  handler: async () => undefined,
});
const stray = defineJob({ name: 'stray', payload: z.object({}), handler: async () => undefined });

const hook = defineEndpoint({
  name: 'hook',
  url: 'https://hooks.example.com',
  secrets: [`whsec_${'a'.repeat(32)}`],
});

// What the test asks the action to do.
let script: (ctx: ActionContext) => Promise<unknown> = async () => null;
const scripted = (name: string, safeToRetry = false) =>
  defineAction({
    name,
    args,
    access: 'public',
    safeToRetry,
    emits: [declared],
    handler: (ctx) => script(ctx),
  });
const brief = defineAction({
  name: 'brief',
  args,
  access: 'public',
  timeout: 50,
  handler: (ctx) => script(ctx),
});
const told = defineAction({
  name: 'told',
  args,
  access: 'public',
  result: z.object({ at }),
  handler: (ctx) => script(ctx) as Promise<{ at: Date }>,
});
// The example's own handler, and then a failure: nothing of it may remain.
const failingOrder = defineAction({
  name: 'orders.fail',
  access: 'public',
  args: placeOrder.args,
  emits: placeOrder.emits,
  async handler(ctx, given) {
    await placeOrder.handler(ctx, given);
    throw new Error('after the enqueue');
  },
});

const app = defineApp({
  actions: [scripted('do'), scripted('again', true), brief, told, placeOrder, failingOrder],
  events: [declared, undeclared, ...orders.events],
  jobs: [job, ...orders.jobs],
});

let database: TestDatabase;
let web: TestWeb;
beforeAll(async () => {
  database = await testDatabase();
  web = testWeb(app, database.url);
});
afterEach(async () => {
  await database.db.executeSql('truncate waybill.outbox_messages cascade');
  await database.db.executeSql('truncate waybill.outbox_audit, orders');
});
afterAll(async () => {
  await web.end();
  await database.end();
});

const call = { invoker: { type: 'user' }, requestId: 'request-1' } as const;
const run = (name: string, body: typeof script, given: unknown = {}): Promise<unknown> => {
  script = body;
  return web.runner.run(name, given, call);
};
const count = async (table: string): Promise<number> =>
  (await database.db.executeSql<{ n: number }>(`select count(*)::int as n from ${table}`)).rows[0]!.n;
const messages = async (): Promise<Record<string, unknown>[]> =>
  (await database.db.executeSql('select * from waybill.outbox_messages order by id')).rows;

const order = {
  customerEmail: 'ann@customers.test',
  items: [{ sku: 'tea', quantity: 2, unitPriceCents: 450 }],
};
const email = { to: 'ann@customers.test', subject: 'Hello', text: 'Hello' };

describe('A: a message exists if and only if its transaction committed', () => {
  it('A: an order commits with its receipt, its event and its job', async () => {
    const before = web.nudges();
    const { orderId } = (await web.runner.run(placeOrder.name, order, call)) as { orderId: string };
    const recorded = await messages();
    expect(
      recorded.map(({ kind, queue, status, request_id }) => ({ kind, queue, status, request_id })),
    ).toEqual([
      { kind: 'email', queue: 'email', status: 'pending', request_id: 'request-1' },
      { kind: 'event', queue: 'events', status: 'pending', request_id: 'request-1' },
      { kind: 'job', queue: 'jobs', status: 'pending', request_id: 'request-1' },
    ]);
    expect(recorded[0]).toMatchObject({ delivery_key: `receipt-${orderId}` });
    expect(recorded[0]!['payload']).toMatchObject({
      html: expect.any(String) as string,
      text: expect.any(String) as string,
    });
    expect(await count('orders')).toBe(1);
    expect(web.nudges()).toBe(before + 1);
    expect(web.nudged()).toEqual(['email:0', 'events:0', 'jobs:0']);
  });

  it('A: a failure after the enqueue leaves neither row nor message, and notifies nobody', async () => {
    const before = web.nudges();
    await expect(web.runner.run('orders.fail', order, call)).rejects.toThrow('after the enqueue');
    expect([
      await count('orders'),
      await count('waybill.outbox_messages'),
      await count('waybill.outbox_audit'),
    ]).toEqual([0, 0, 0]);
    expect(web.nudges()).toBe(before);
  });

  it('A: arguments that do not fit leave nothing', async () => {
    await expect(web.runner.run(placeOrder.name, { ...order, items: [] }, call)).rejects.toMatchObject({
      code: 'invalid_arguments',
    });
    expect([await count('orders'), await count('waybill.outbox_messages')]).toEqual([0, 0]);
  });

  it('A: what is enqueued inside a nested transaction rolls back with it, the rest stays', async () => {
    await run('do', async (ctx) => {
      await ctx.email.enqueue({ ...email, deliveryKey: 'outer' });
      await ctx.db
        .transaction(async (tx) => {
          await ctx.email.enqueue({ ...email, deliveryKey: 'inner' });
          await tx.query(`insert into order_log (order_id) values (gen_random_uuid())`);
          await tx.transaction(async () => ctx.email.enqueue({ ...email, deliveryKey: 'innermost' }));
          throw new Error('undo');
        })
        .catch(() => undefined);
      await ctx.db.transaction(async () => ctx.email.enqueue({ ...email, deliveryKey: 'kept' }));
    });
    expect((await messages()).map((m) => m['delivery_key'])).toEqual(['outer', 'kept']);
    expect(await count('order_log')).toBe(0);
  });

  it('A: an error of SQL that was caught without a nested transaction commits nothing', async () => {
    const body = async (ctx: ActionContext): Promise<void> => {
      await ctx.email.enqueue(email);
      await ctx.db.query('select 1/0').catch(() => undefined);
    };
    await expect(run('do', body)).rejects.toThrow(/nothing was committed/);
    expect(await count('waybill.outbox_messages')).toBe(0);
  });

  it('A: a result that does not fit its schema, or that JSON cannot carry, undoes everything', async () => {
    const enqueueAnd = (result: unknown) => async (ctx: ActionContext) => {
      await ctx.email.enqueue(email);
      return result;
    };
    await expect(run('told', enqueueAnd({ at: 'now' }))).rejects.toMatchObject({ code: 'result_invalid' });
    await expect(run('do', enqueueAnd({ n: 1n }))).rejects.toThrow(/BigInt/);
    expect(await count('waybill.outbox_messages')).toBe(0);
    expect(await run('told', enqueueAnd({ at: new Date(0) }))).toEqual({ at: '1970-01-01T00:00:00.000Z' });
    expect(await count('waybill.outbox_messages')).toBe(1);
  });
});

describe('ctx', () => {
  it('records what it is told, with options, encoded by the codec', async () => {
    const due = new Date('2030-01-01T00:00:00Z');
    await run('do', async (ctx) => {
      const options = { deliveryKey: 'k', availableAt: due, priority: 5, group: 'g', orderKey: 'o' };
      await ctx.jobs.dispatch(job, { at: new Date(0) }, options);
      await ctx.email.enqueue({ ...email, group: 'g', orderKey: 'o' });
      await ctx.events.record(declared, { n: 1 }, { group: 'g', orderKey: 'o' });
    });
    const flow = { group_key: 'g', order_key: 'o' };
    expect(await messages()).toMatchObject([
      {
        kind: 'job',
        name: 'job',
        queue: 'slow',
        payload: { at: '1970-01-01T00:00:00.000Z' },
        max_attempts: 3,
        priority: 5,
        delivery_key: 'k',
        available_at: due,
        ...flow,
      },
      { kind: 'email', ...flow },
      { kind: 'event', ...flow },
    ]);
  });

  it('takes many at once', async () => {
    const answers = await run('do', async (ctx) => [
      ...(await ctx.email.enqueue([email, email])),
      ...(await ctx.jobs.dispatchMany(job, [
        { payload: { at: new Date(0) } },
        { payload: { at: new Date(1) }, priority: 1 },
      ])),
      ...(await ctx.events.recordMany(declared, [{ payload: { n: 1 } }])),
    ]);
    expect(answers).toHaveLength(5);
    expect(await count('waybill.outbox_messages')).toBe(5);
  });

  it('a delivery key that stands gives the first message', async () => {
    const first = await run('do', async (ctx) => ctx.email.enqueue({ ...email, deliveryKey: 'once' }));
    const second = await run('do', async (ctx) => ctx.email.enqueue({ ...email, deliveryKey: 'once' }));
    expect(second).toEqual({ ...(first as object), duplicate: true });
    expect(await count('waybill.outbox_messages')).toBe(1);
  });

  it.each<[string, string, (ctx: ActionContext) => Promise<unknown>, RegExp]>([
    [
      'event_not_declared',
      'do',
      (ctx) => ctx.events.record(undeclared, {}),
      /action do recorded the event undeclared.*emits/,
    ],
    ['unknown_job', 'do', (ctx) => ctx.jobs.dispatch(stray, {}), /no job stray: add it to jobs/],
    ['payload_invalid', 'do', (ctx) => ctx.events.record(declared, { n: 'x' as never }), /n: /],
    ['null_character', 'do', (ctx) => ctx.email.enqueue({ ...email, text: 'a\0b' }), /U\+0000|null/i],
    [
      'payload_too_large',
      'do',
      (ctx) => ctx.email.enqueue({ ...email, text: 'x'.repeat(300_000) }),
      /262144/,
    ],
    ['invalid_address', 'do', (ctx) => ctx.email.enqueue({ ...email, to: 'bob' }), /bob|address/],
    ['push_not_available', 'do', (ctx) => ctx.push.enqueue({}), /ctx\.email\.enqueue/],
    [
      'options_invalid',
      'again',
      (ctx) => ctx.webhooks.replay(hook, { since: new Date(), all: true }),
      /action again is safeToRetry.*leave `all` out/,
    ],
    ['delivery_key_required', 'again', (ctx) => ctx.email.enqueue(email), /action again is safeToRetry/],
  ])('%s commits nothing', async (code, name, body, message) => {
    const error = (await run(name, body).catch((thrown: unknown) => thrown)) as WaybillError;
    expect(error).toMatchObject({ code });
    expect(error.message).toMatch(message);
    expect(await count('waybill.outbox_messages')).toBe(0);
  });

  it('ends with its action: what comes later is refused, not written into another transaction', async () => {
    let leaked: ActionContext | undefined;
    await run('do', async (ctx) => void (leaked = ctx));
    await expect(leaked!.db.query('select 1')).rejects.toMatchObject({ code: 'context_closed' });
    await expect(leaked!.email.enqueue(email)).rejects.toMatchObject({ code: 'context_closed' });
    expect(() => leaked!.db.client.query('select 1')).toThrow(/not awaited/);
  });

  it('a nested transaction that waits for what comes later outside of it ends with the timeout', async () => {
    const waiting = run('brief', async (ctx) => {
      const began = Promise.withResolvers<void>();
      const outside = began.promise.then(() => ctx.db.query('select 1'));
      await ctx.db.transaction(async () => {
        began.resolve();
        await outside;
      });
    });
    await expect(waiting).rejects.toMatchObject({ code: 'action_timeout' });
  });

  it('an aborted call commits nothing', async () => {
    const stop = new AbortController();
    script = async (ctx) => {
      await ctx.email.enqueue(email);
      stop.abort();
    };
    await expect(web.runner.run('do', {}, { ...call, signal: stop.signal })).rejects.toThrow(/abort/i);
    expect(await count('waybill.outbox_messages')).toBe(0);
  });
});

describe('safeToRetry', () => {
  const failing = (times: number) => {
    let runs = 0;
    return {
      runs: () => runs,
      body: async (ctx: ActionContext): Promise<number> => {
        runs += 1;
        await ctx.email.enqueue({ ...email, deliveryKey: 'k' });
        if (runs <= times)
          await ctx.db.query(`do $$ begin raise exception 'x' using errcode = '40001'; end $$`);
        return runs;
      },
    };
  };

  it('runs again after a serialisation failure, at most three times', async () => {
    const twice = failing(2);
    expect(await run('again', twice.body)).toBe(3);
    expect(await count('waybill.outbox_messages')).toBe(1);
    const always = failing(9);
    await expect(run('again', always.body)).rejects.toMatchObject({ code: '40001' });
    expect(always.runs()).toBe(3);
  });

  it('runs again after a lost connection, and what it enqueues is there once', async () => {
    let runs = 0;
    const lost = async (ctx: ActionContext): Promise<number> => {
      await ctx.email.enqueue({ ...email, deliveryKey: 'k' });
      if (++runs === 1) await ctx.db.query('select pg_terminate_backend(pg_backend_pid())');
      return runs;
    };
    expect(await run('again', lost)).toBe(2);
    expect(await count('waybill.outbox_messages')).toBe(1);
  });

  it('without it, once', async () => {
    const once = failing(1);
    await expect(run('do', once.body)).rejects.toMatchObject({ code: '40001' });
    expect(once.runs()).toBe(1);
  });
});

describe('cancel', () => {
  it('A: ends a waiting message with the transaction that made it needless, or not at all', async () => {
    const { id } = (await run('do', (ctx) => ctx.jobs.dispatch(job, { at: new Date(0) }))) as { id: string };
    const failing = run('do', async (ctx) => {
      expect(await ctx.jobs.cancel(id)).toBe(true);
      throw new Error('not needless after all');
    });
    await expect(failing).rejects.toThrow('not needless');
    expect((await messages())[0]).toMatchObject({ status: 'pending' });
    expect(await run('do', async (ctx) => [await ctx.jobs.cancel(id), await ctx.jobs.cancel(id)])).toEqual([
      true,
      false,
    ]);
    expect((await messages())[0]).toMatchObject({ status: 'cancelled' });
    await expect(run('do', (ctx) => ctx.jobs.cancel('nonsense'))).rejects.toMatchObject({
      code: 'invalid_id',
    });
  });
});

describe('the end of patience', () => {
  const never = (): Promise<never> => new Promise(() => undefined);

  it('A: an action that takes longer than its timeout is rolled back, and its signal fires', async () => {
    let signal: AbortSignal | undefined;
    const running = run('brief', async (ctx) => {
      signal = ctx.signal;
      await ctx.email.enqueue(email);
      await never();
    });
    await expect(running).rejects.toMatchObject({ code: 'action_timeout' });
    expect(signal?.aborted).toBe(true);
    expect(await messages()).toEqual([]);
  });

  it('an action that has gone over its time can do nothing any more', async () => {
    const late = Promise.withResolvers<unknown>();
    const running = run('brief', async (ctx) => {
      await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
      await ctx.email.enqueue(email).catch(late.resolve);
    });
    await expect(running).rejects.toMatchObject({ code: 'action_timeout' });
    expect(await late.promise).toMatchObject({ name: 'TimedOut' });
    expect(await messages()).toEqual([]);
  });

  it('on shutdown the signal fires, and what had not committed is not there', async () => {
    const leaving = testWeb(app, database.url);
    const begun = Promise.withResolvers<void>();
    script = async (ctx) => {
      await ctx.email.enqueue(email);
      begun.resolve();
      await never();
    };
    const running = leaving.runner.run('do', {}, call);
    await begun.promise;
    leaving.giveUp();
    await expect(running).rejects.toMatchObject({ code: 'shutting_down' });
    expect(await messages()).toEqual([]);
    await leaving.end();
  });
});
