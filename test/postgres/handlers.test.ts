import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { HandlerContext } from '../../src/define/context.ts';
import { defineJob } from '../../src/define/job.ts';
import { enqueueJob } from '../../src/define/recorder.ts';
import { defineOutboxRegistry } from '../../src/define/registry.ts';
import { RetryAfter } from '../../src/delivery/failure.ts';
import { drainOutbox } from '../../src/drain/drain.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let script: (ctx: HandlerContext) => Promise<void>;
const job = defineJob({
  name: 'job',
  payload: z.object({ n: z.number().default(0) }),
  timeout: 60,
  retry: { maxAttempts: 2, backoff: { initial: '1h', max: '1h' } },
  handler: (ctx) => script(ctx),
});
const registry = defineOutboxRegistry({ jobs: [job] });

let database: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  database = await testDatabase();
  pool = new pg.Pool({ connectionString: database.url, max: 3 });
  await pool.query('create table effects (n int)');
});
beforeEach(() => pool.query('truncate waybill.outbox_messages, effects cascade'));
afterAll(async () => {
  await pool.end();
  await database.end();
});

async function deliver(): Promise<{ status: string; last_error: string | null; effects: number }> {
  const outbox = createPostgresOutbox(pool);
  const { id } = await enqueueJob(outbox, job, { n: 1 });
  await drainOutbox({ outbox, registry, pool });
  const row = `select status, last_error, (select count(*)::int from effects) as effects from waybill.outbox_messages where id = $1`;
  return (await pool.query(row, [id])).rows[0] as Awaited<ReturnType<typeof deliver>>;
}

describe('a handler', () => {
  it('that never returns has failed at its timeout, its signal has fired, and nothing that it wrote stays', async () => {
    let signal: AbortSignal | undefined;
    script = async (ctx) => {
      signal = ctx.signal;
      await ctx.db.query('insert into effects values (1)');
      await new Promise(() => undefined);
    };
    expect(await deliver()).toEqual({
      status: 'failed',
      last_error: 'the handler took longer than its timeout of 60 ms',
      effects: 0,
    });
    expect(signal?.aborted).toBe(true);
  });

  it('that goes on after its timeout can neither write nor enqueue any more', async () => {
    const late = Promise.withResolvers<unknown[]>();
    script = async (ctx) => {
      await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
      const tried = [
        () => ctx.db.query('insert into effects values (1)'),
        () => ctx.jobs.dispatch(job, { n: 2 }),
        () => ctx.db.client.query('insert into effects values (2)'),
      ];
      late.resolve(await Promise.allSettled(tried.map(async (one) => one())));
    };
    expect(await deliver()).toMatchObject({ status: 'failed', effects: 0 });
    expect(await late.promise).toMatchObject([
      { status: 'rejected' },
      { status: 'rejected' },
      { status: 'rejected' },
    ]);
    expect((await pool.query('select from waybill.outbox_messages')).rowCount).toBe(1);
  });

  it('that returned without awaiting what it began is told so, and the rest is not lost', async () => {
    const late = Promise.withResolvers<unknown>();
    script = async (ctx) => {
      await ctx.db.query('insert into effects values (1)');
      setImmediate(() => void ctx.db.query('insert into effects values (2)').catch(late.resolve));
    };
    expect(await deliver()).toMatchObject({ status: 'delivered', effects: 1 });
    expect(await late.promise).toMatchObject({ code: 'context_closed' });
  });

  it.each<[string, unknown, string]>([
    ['a text', 'no luck', 'no luck'],
    ['undefined', undefined, 'undefined'],
    ['null', null, 'null'],
    ['a number', 7, '7'],
    ['an object', { why: 'no luck' }, 'no luck'],
    ['a symbol', Symbol('no luck'), 'no luck'],
    ['an error without words', new Error(), 'Error'],
    [
      'what throws when it is looked at',
      new Proxy(
        {},
        {
          get: () => {
            throw new Error('hidden');
          },
        },
      ),
      'cannot be shown',
    ],
  ])('that throws %s has failed with a reason', async (_, thrown, reason) => {
    script = async () => {
      throw thrown; // oxlint-disable-line typescript/only-throw-error -- handlers are other people's code
    };
    const { status, last_error } = await deliver();
    expect([status, last_error]).toEqual(['failed', expect.stringContaining(reason)]);
  });

  it('whose timeout is longer than a timer of Node can be has all of that time', async () => {
    const patient = defineJob({
      name: 'patient',
      payload: z.object({}),
      timeout: '30d',
      handler: () => new Promise((resolve) => setTimeout(resolve, 30)),
    });
    const outbox = createPostgresOutbox(pool);
    await enqueueJob(outbox, patient, {});
    const registryOfIt = defineOutboxRegistry({ jobs: [patient] });
    expect(await drainOutbox({ outbox, registry: registryOfIt, pool })).toMatchObject({
      delivered: 1,
      dead: 0,
      retried: 0,
    });
  });

  it('that asks to be tried again in a week is not tried before', async () => {
    script = async () => {
      throw new RetryAfter('7d');
    };
    await deliver();
    const due = `select (available_at - now() between '6 days 23 hours' and '7 days 1 hour') as right from waybill.outbox_messages`;
    expect((await pool.query(due)).rows).toEqual([{ right: true }]);
  });

  it('that caught the error of a statement and goes on is told that nothing was committed', async () => {
    script = async (ctx) => {
      await ctx.db.query('insert into effects values (1)');
      await ctx.db.query('nonsense').catch(() => undefined);
    };
    const { status, last_error, effects } = await deliver();
    expect([status, effects]).toEqual(['failed', 0]);
    expect(last_error).toContain('did not commit');
  });
});
