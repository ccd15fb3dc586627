// Functions that users give, in every form that JavaScript allows: with a promise, with what is only like one, with a value, with nothing,
// throwing at once, throwing what is no Error. Postgres is real.

import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  createMemoryOutbox,
  createOutboxDrainRoute,
  createPostgresOutbox,
  defineAction,
  defineEvent,
  defineJob,
  defineListener,
  defineOutboxRegistry,
  drainOutbox,
  enqueueEmail,
  enqueueJob,
  idempotent,
  type DrainOptions,
  type EmailProvider,
  type HandlerContext,
  type OutboxPort,
} from '../../src/index.ts';
import { createLog } from '../../src/metrics/log.ts';
import { runAction } from '../../src/testing.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let script: (ctx: HandlerContext) => unknown;
/** So long that no drain of these tests meets a retry. */
const retry = { maxAttempts: 2, backoff: { initial: '1h', max: '1h' } } as const;
const job = defineJob({
  name: 'job',
  payload: z.object({}),
  retry,
  handler: (ctx) => script(ctx) as Promise<void>,
});
const happened = defineEvent({ name: 'happened', payload: z.object({}) });
const listener = defineListener({
  name: 'listener',
  event: happened,
  retry,
  handler: (ctx) => script(ctx) as Promise<void>,
});
const registry = defineOutboxRegistry({ jobs: [job], events: [happened], listeners: [listener] });
const log = createLog({ level: 'silent', role: 'test' });

let database: TestDatabase;
let pool: pg.Pool;
let outbox: OutboxPort;
const rejections: unknown[] = [];
const onRejection = (error: unknown): void => void rejections.push(error);
beforeAll(async () => {
  database = await testDatabase();
  pool = new pg.Pool({ connectionString: database.url, max: 3 });
  outbox = createPostgresOutbox(pool);
  await pool.query('create table effects (name text)');
  process.on('unhandledRejection', onRejection);
});
beforeEach(() => pool.query('truncate waybill.outbox_messages, waybill.outbox_idempotency, effects cascade'));
afterAll(async () => {
  process.off('unhandledRejection', onRejection);
  await pool.end();
  await database.end();
  expect(rejections).toEqual([]);
});

const drain = (more: Partial<DrainOptions> = {}) => drainOutbox({ outbox, registry, pool, log, ...more });

async function end(id: string): Promise<{ status: string; error: string | null; effects: number }> {
  const sql = `select status, last_error as error, (select count(*)::int from effects) as effects from waybill.outbox_messages where id = $1`;
  return (await pool.query(sql, [id])).rows[0] as Awaited<ReturnType<typeof end>>;
}

/** Like a promise, and none. */
const thenable = (value: unknown) => ({ then: (took: (value: unknown) => void) => took(value) });
const failing = (reason: unknown) => ({
  then: (_: unknown, refused: (reason: unknown) => void) => refused(reason),
});

describe('the handler of a job or a listener', () => {
  const ways: [string, () => unknown, string, string | null][] = [
    ['gives nothing', () => undefined, 'delivered', null],
    ['gives a value', () => 7, 'delivered', null],
    ['gives a promise', async () => undefined, 'delivered', null],
    ['gives what is like a promise', () => thenable(1), 'delivered', null],
    [
      'throws at once',
      () => {
        throw new Error('at once');
      },
      'failed',
      'at once',
    ],
    [
      'throws undefined',
      () => {
        throw undefined;
      },
      'failed',
      'undefined',
    ], // oxlint-disable-line typescript/only-throw-error
    [
      'throws null',
      () => {
        throw null;
      },
      'failed',
      'null',
    ], // oxlint-disable-line typescript/only-throw-error
    [
      'throws a text',
      () => {
        throw 'a text';
      },
      'failed',
      'a text',
    ], // oxlint-disable-line typescript/only-throw-error
    ['gives what fails like a promise', () => failing(new Error('later')), 'failed', 'later'],
    [
      'gives what throws when it is awaited',
      () => ({
        get then() {
          throw new Error('getter');
        },
      }),
      'failed',
      'getter',
    ],
  ];

  it.each(ways)('%s', async (_, way, status, error) => {
    let runs = 0;
    script = () => {
      runs += 1;
      return way();
    };
    const { id } = await enqueueJob(outbox, job, {});
    const [heard] = await outbox.enqueue([
      { kind: 'listener', name: 'listener', queue: 'events', payload: {} },
    ]);
    await drain();
    expect(runs).toBe(2);
    for (const one of [id, heard!.id]) {
      const ended = await end(one);
      expect(ended.status).toBe(status);
      if (error !== null) expect(ended.error).toContain(error);
    }
  });

  it('is its own object: a method finds `this`', async () => {
    class Handlers {
      readonly name = 'it';
      run(): string {
        return this.name;
      }
    }
    const handlers = new Handlers();
    const bound = defineJob({ name: 'bound', payload: z.object({}), handler: () => void handlers.run() });
    await enqueueJob(outbox, bound, {});
    expect(await drain({ registry: defineOutboxRegistry({ jobs: [bound] }) })).toMatchObject({
      delivered: 1,
    });
  });

  it('has functions in it that are not async: of a nested transaction, of idempotent', async () => {
    script = async (ctx) => {
      expect(await ctx.db.transaction(() => 1)).toBe(1);
      expect(await ctx.db.transaction(() => thenable(2) as unknown as number)).toBe(2);
      const throwing = ctx.db.transaction(() => {
        throw new Error('at once');
      });
      await expect(throwing).rejects.toThrow('at once');
      expect(await idempotent(ctx, 'k', () => 3)).toBe(3);
      expect(await idempotent(ctx, 'k', () => 4)).toBe(3);
      const refused = idempotent(ctx, 'other', () => {
        throw new Error('at once');
      });
      await expect(refused).rejects.toThrow('at once');
      await ctx.db.query(`insert into effects values ('kept')`);
    };
    const { id } = await enqueueJob(outbox, job, {});
    await drain();
    expect(await end(id)).toEqual({ status: 'delivered', error: null, effects: 1 });
  });
});

describe('an action', () => {
  const act = (handler: () => unknown) =>
    defineAction({
      name: 'act',
      args: z.object({}),
      access: 'public',
      handler: handler as () => Promise<unknown>,
    });

  it.each<[string, () => unknown, unknown]>([
    ['nothing', () => undefined, null],
    ['a value', () => 7, 7],
    ['what is like a promise', () => thenable(7), 7],
  ])('may give %s', async (_, handler, result) => {
    expect(await runAction(act(handler), {}, { outbox: createMemoryOutbox() })).toBe(result);
  });

  it('may throw at once', async () => {
    const throwing = act(() => {
      throw new Error('at once');
    });
    await expect(runAction(throwing, {}, { outbox: createMemoryOutbox() })).rejects.toThrow('at once');
  });
});

describe('a provider of the application', () => {
  const email = { to: 'ann@customers.example', from: 'shop@shop.example', subject: 'Hi', text: 'Hi' };
  const provider = (send: () => unknown): EmailProvider => ({
    name: 'own',
    idempotent: false,
    send: send as EmailProvider['send'],
  });

  it.each<[string, () => unknown, string]>([
    [
      'gives a receipt at once',
      () => ({ accepted: ['ann@customers.example'], rejected: [], response: 'ok' }),
      'delivered',
    ],
    ['gives nothing, and the mail is out', () => undefined, 'delivered'],
    ['gives something else, and the mail is out', () => 'sent', 'delivered'],
    ['gives what is like a promise', () => thenable(undefined), 'delivered'],
    [
      'throws at once',
      () => {
        throw new Error('no');
      },
      'failed',
    ],
    [
      'throws nothing',
      () => {
        throw undefined;
      },
      'failed',
    ], // oxlint-disable-line typescript/only-throw-error
  ])('%s', async (_, send, status) => {
    const { id } = await enqueueEmail(outbox, email);
    await drain({ email: { provider: provider(send) } });
    expect((await end(id)).status).toBe(status);
  });

  it('a guard that is async and says no lets nothing out; a list that is not async is read', async () => {
    let sent = 0;
    const counting = provider(() => (sent += 1));
    await enqueueEmail(outbox, email);
    await drain({ email: { provider: counting, allowed: (async () => false) as unknown as () => boolean } });
    await enqueueEmail(outbox, email);
    const suppressed = (() => new Map([['ann@customers.example', 'bounced']])) as unknown as () => Promise<
      Map<string, string>
    >;
    await drain({ email: { provider: counting, suppressed } });
    expect(sent).toBe(0);
  });
});

describe('functions of a drain', () => {
  const fail = (): never => {
    throw new Error('at once');
  };

  it('retryDelayMs may give a promise; what it throws, now or later, leaves the policy', async () => {
    script = fail;
    const due = async (retryDelayMs: DrainOptions['retryDelayMs']): Promise<number> => {
      await pool.query('truncate waybill.outbox_messages cascade');
      await enqueueJob(outbox, job, {});
      expect(await drain({ retryDelayMs })).toMatchObject({ retried: 1 });
      const sql = `select round(extract(epoch from available_at - now()))::int as s from waybill.outbox_messages`;
      return (await pool.query<{ s: number }>(sql)).rows[0]!.s;
    };
    expect(await due(async () => 86_400_000)).toBeGreaterThan(86_000);
    for (const way of [
      fail,
      async () => fail(),
      () => Number.NaN,
      () => 1e300,
      () => 'soon',
      () => failing('x'),
    ])
      expect(await due(way as () => number)).toBeLessThanOrEqual(3_600);
  });

  it.each(['delivered', 'retried', 'deadLettered'])(
    'instrumentation.%s may throw, now or later',
    async (hook) => {
      for (const way of [fail, async () => fail(), () => failing('x')]) {
        script = hook === 'delivered' ? () => undefined : fail;
        const { id } = await enqueueJob(outbox, job, {});
        if (hook === 'deadLettered')
          await pool.query('update waybill.outbox_messages set max_attempts = 1 where id = $1', [id]);
        await drain({ instrumentation: { [hook]: way } });
        expect((await end(id)).status).toBe(
          { delivered: 'delivered', retried: 'failed', deadLettered: 'dead' }[hook],
        );
      }
    },
  );

  it('onError of the route may throw, now or later: the answer is the same', async () => {
    const broken = { ...outbox, expire: () => Promise.reject(new Error('a bug')) };
    for (const onError of [fail, async () => fail()]) {
      const route = createOutboxDrainRoute({
        outbox: broken,
        registry,
        pool,
        secret: 'secret',
        log,
        onError,
      });
      const request = new Request('http://localhost/drain', { headers: { authorization: 'Bearer secret' } });
      expect((await route(request)).status).toBe(500);
    }
  });
});

describe('an executor', () => {
  it('may answer at once', async () => {
    const rows: unknown[][] = [];
    const executor = {
      executeSql: (text: string, values: unknown) => (rows.push([text, values]), { rows: [] }),
    };
    const { id } = await enqueueJob(createPostgresOutbox(executor as never), job, {});
    expect(rows).toHaveLength(1);
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a result without rows', { count: 1 }],
  ])('that gives %s is told what it must give', async (_, result) => {
    const executor = { executeSql: async () => result };
    const enqueueing = enqueueJob(createPostgresOutbox(executor as never), job, {});
    await expect(enqueueing).rejects.toMatchObject({ code: 'executor_invalid' });
  });

  it('may throw at once', async () => {
    const executor = {
      executeSql() {
        throw new Error('at once');
      },
    };
    await expect(enqueueJob(createPostgresOutbox(executor as never), job, {})).rejects.toThrow('at once');
  });
});
