import pg from 'pg';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineEvent } from '../../src/define/event.ts';
import { defineJob } from '../../src/define/job.ts';
import { defineListener } from '../../src/define/listener.ts';
import {
  createOutboxEventRecorder,
  createOutboxJobDispatcher,
  enqueueEmail,
  enqueueJob,
} from '../../src/define/recorder.ts';
import { defineOutboxRegistry } from '../../src/define/registry.ts';
import type { HandlerContext } from '../../src/define/context.ts';
import { drainOutbox } from '../../src/drain/drain.ts';
import { pruneOutbox, type PruneOptions } from '../../src/drain/prune.ts';
import { createMetrics } from '../../src/metrics/catalogue.ts';
import { createEvents } from '../../src/metrics/events.ts';
import { createLog } from '../../src/metrics/log.ts';
import { createQueueCloser } from '../../src/worker/queue-closer.ts';
import type { DeliveredEvent } from '../../src/drain/instrumentation.ts';
import type { DrainOptions } from '../../src/drain/options.ts';
import { createOutboxDrainRoute } from '../../src/http/drain.ts';
import { EmailError } from '../../src/email/error.ts';
import { claimProbes } from '../../src/outbox/batch.ts';
import type { EmailProvider } from '../../src/email/provider.ts';
import { createMemoryOutbox } from '../../src/store/memory.ts';
import { createPostgresOutbox, type PostgresOutboxOptions } from '../../src/store/postgres.ts';
import type { OutboxPort } from '../../src/outbox/port.ts';
import { createPostgresOutboxSetupStatements } from '../../src/outbox/table.ts';
import { PermanentError, RetryAfter } from '../../src/delivery/failure.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let script: (ctx: HandlerContext, n: number) => Promise<void>;
const job = defineJob({
  name: 'job',
  payload: z.object({ n: z.number() }),
  retry: { maxAttempts: 3, backoff: { initial: 1, max: 1 } },
  handler: (ctx, { n }) => script(ctx, n),
});
const narrow = defineJob({
  ...pick(job),
  name: 'narrow',
  concurrency: 2,
  handler: (ctx, { n }) => script(ctx, n),
});
const happened = defineEvent({ name: 'happened', payload: z.object({ n: z.number() }) });
const heard: string[] = [];
const listener = (name: string) =>
  defineListener({ name, event: happened, handler: async () => void heard.push(name) });
const registry = defineOutboxRegistry({
  jobs: [job, narrow],
  events: [happened],
  listeners: [listener('one'), listener('two')],
});

function pick({ payload }: typeof job) {
  return { payload };
}

let database: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  database = await testDatabase();
  pool = new pg.Pool({ connectionString: database.url, max: 12 });
  await pool.query('create table effects (n int)');
  for (const statement of createPostgresOutboxSetupStatements({ tableName: 'own' }))
    await pool.query(statement);
});
beforeEach(async () => {
  heard.length = 0;
  script = async () => undefined;
  await pool.query('truncate waybill.outbox_messages, own, effects cascade');
});
afterAll(async () => {
  await pool.end();
  await database.end();
});

const outbox = (options?: PostgresOutboxOptions): OutboxPort => createPostgresOutbox(pool, options);
const drain = (options: Partial<DrainOptions> = {}) =>
  drainOutbox({ outbox: outbox(), registry, pool, ...options });
const dispatch = async (count: number, name = job, to = outbox()) =>
  createOutboxJobDispatcher(to).dispatchMany(
    name,
    Array.from({ length: count }, (_, n) => ({ payload: { n } })),
  );
const effects = async (): Promise<number> => (await pool.query('select from effects')).rowCount ?? 0;
const statuses = async (): Promise<string[]> =>
  (await pool.query<{ status: string }>('select status from waybill.outbox_messages order by id')).rows.map(
    (r) => r.status,
  );
const none = { claimed: 0, delivered: 0, retried: 0, dead: 0, released: 0 };

describe('drainOutbox', () => {
  it('delivers one bounded batch, and what handlers wrote commits with its end', async () => {
    await dispatch(7);
    script = async (ctx, n) => void (await ctx.db.query('insert into effects values ($1)', [n]));
    expect(await drain({ batchSize: 5, concurrency: 2 })).toEqual({ ...none, claimed: 5, delivered: 5 });
    expect(await effects()).toBe(5);
    expect(await drain({ batchSize: 5 })).toEqual({ ...none, claimed: 2, delivered: 2 });
    expect(await drain()).toEqual(none);
  });

  it('an event becomes a message for each listener, delivered by the next drain', async () => {
    await createOutboxEventRecorder(outbox()).record(happened, { n: 1 });
    expect(await drain({ batchSize: 1 })).toMatchObject({ delivered: 1 });
    expect(await drain()).toMatchObject({ delivered: 2 });
    expect(heard.toSorted()).toEqual(['one', 'two']);
  });

  it('untilEmpty: an event, its listeners and what they enqueue in one call', async () => {
    await createOutboxEventRecorder(outbox()).record(happened, { n: 1 });
    script = async (ctx, n) => {
      if (n < 5) await ctx.jobs.dispatch(job, { n: n + 1 });
    };
    await dispatch(1);
    expect(await drain({ untilEmpty: true, batchSize: 1 })).toEqual({ ...none, claimed: 9, delivered: 9 });
    expect(await drain()).toEqual(none);
  });

  it('untilEmpty ends when its signal aborts', async () => {
    const leaving = new AbortController();
    script = async (ctx, n) => {
      await ctx.jobs.dispatch(job, { n: n + 1 });
      if (n === 3) leaving.abort();
    };
    await dispatch(1);
    const { claimed } = await drain({ untilEmpty: true, batchSize: 1, signal: leaving.signal });
    expect(claimed).toBe(4);
  });

  it('a transaction that lost against another counts as an attempt', async () => {
    await dispatch(1);
    script = async (ctx) => void (await ctx.db.query(`do $$ begin raise serialization_failure; end $$`));
    expect(await drain()).toEqual({ ...none, claimed: 1, retried: 1 });
    const { rows } = await pool.query('select attempts from waybill.outbox_messages');
    expect(rows).toEqual([{ attempts: 1 }]);
  });

  it('a handler may enqueue, and what it enqueued is gone when it fails', async () => {
    await dispatch(1);
    script = async (ctx, n) => {
      if (n < 10) await ctx.jobs.dispatch(job, { n: 10 });
      if (ctx.message.attempt === 1) throw new Error('not yet');
    };
    expect(await drain({ batchSize: 1 })).toMatchObject({ claimed: 1, retried: 1 });
    expect(await statuses()).toEqual(['failed']);
  });

  it('retryDelayMs decides when, with the error as it was thrown; without an answer the policy does', async () => {
    class Busy extends Error {}
    await dispatch(2);
    script = async (_, n) => {
      throw n === 0 ? new Busy() : new Error('other');
    };
    const retryDelayMs: DrainOptions['retryDelayMs'] = ({ message, error }) =>
      error instanceof Busy && message.attempt === message.attempts
        ? message.attempts * 3_600_000
        : undefined;
    expect(await drain({ retryDelayMs, batchSize: 2 })).toMatchObject({ retried: 2 });
    const due = `select (payload ->> 'n')::int as n, round(extract(epoch from available_at - now()) / 600)::int as hours6 from waybill.outbox_messages order by n`;
    expect((await pool.query(due)).rows).toEqual([
      { n: 0, hours6: 6 },
      { n: 1, hours6: 0 },
    ]);
  });

  it('instrumentation hears how each ended, with attempts and an error without addresses', async () => {
    const told: unknown[] = [];
    const tell = (what: string) => (event: object) => void told.push([what, event]);
    const instrumentation = {
      delivered: tell('delivered'),
      retried: tell('retried'),
      deadLettered: tell('dead'),
    };
    const traceparent = '00-11111111111111111111111111111111-2222222222222222-01';
    await enqueueJob(outbox(), job, { n: 0 }, { requestId: 'req', traceparent, deliveryKey: 'k' });
    script = async () => {
      throw new Error('ann@customers.test said no');
    };
    const ids = { requestId: 'drain-1', traceId: '3'.repeat(32) };
    await drain({ instrumentation, ...ids, batchSize: 1 });
    script = async () => {
      throw new PermanentError('never');
    };
    await pool.query('update waybill.outbox_messages set available_at = now()');
    await drain({ instrumentation, ...ids, batchSize: 1 });
    await dispatch(1);
    script = async () => undefined;
    await drain({ instrumentation, ...ids });
    const message = {
      kind: 'job',
      name: 'job',
      queue: 'jobs',
      attemptCount: 1,
      maxAttempts: 3,
      deliveryKey: 'k',
      requestId: 'req',
      traceId: '1'.repeat(32),
    };
    expect(told).toMatchObject([
      [
        'retried',
        {
          ...ids,
          message,
          error: expect.stringMatching(
            /^a\*\*\*@customers\.test said no \(at test\/postgres\/drain\.test\.ts:\d+:\d+\)$/,
          ) as string,
          nextAttemptAt: expect.any(Date) as Date,
        },
      ],
      ['dead', { ...ids, message: { ...message, attemptCount: 2 }, error: 'never' }],
      [
        'delivered',
        { ...ids, message: { attemptCount: 1, requestId: null }, durationMs: expect.any(Number) as number },
      ],
    ]);
    expect(JSON.stringify(told)).not.toContain('ann@');
  });

  it('instrumentation that throws stops nobody', async () => {
    await dispatch(3);
    const instrumentation = {
      delivered() {
        throw new Error('the metrics are down');
      },
    };
    const log = createLog({ level: 'silent', role: 'test' });
    expect(await drain({ instrumentation, log })).toMatchObject({ delivered: 3 });
  });

  it('RetryAfter and the signal: what must stop is given back, unharmed', async () => {
    await dispatch(1);
    script = async () => {
      throw new RetryAfter('1h');
    };
    expect(await drain()).toMatchObject({ retried: 1 });
    await pool.query('truncate waybill.outbox_messages cascade');
    await dispatch(1);
    const stop = new AbortController();
    script = async (ctx) => {
      stop.abort();
      await new Promise((_, reject) =>
        ctx.signal.addEventListener('abort', () => reject(new Error('stopped'))),
      );
    };
    const report = await drain({ signal: stop.signal });
    expect(report).toMatchObject({ delivered: 0, retried: 0, released: report.claimed });
    const { rows } = await pool.query('select status, attempts from waybill.outbox_messages');
    expect(rows).toEqual([{ status: 'pending', attempts: 0 }]);
    expect(await drain({ signal: stop.signal })).toEqual(none);
  });

  it('B, E: what a dead drain held is found, and dead when no attempt is left', async () => {
    const told: unknown[] = [];
    await dispatch(2);
    await outbox().claimBatch({ limit: 2, leaseMs: 1, workerId: 'gone' });
    await pool.query(`update waybill.outbox_messages set max_attempts = 1 where payload ->> 'n' = '0'`);
    const instrumentation = { deadLettered: (event: object) => void told.push(event) };
    expect(await drain({ instrumentation })).toEqual({ ...none, claimed: 1, delivered: 1, dead: 1 });
    expect(told).toMatchObject([
      { message: { name: 'job', attemptCount: 1 }, error: expect.stringContaining('gone') as string },
    ]);
  });

  it('F: what two workers died with runs with nothing beside it', async () => {
    await dispatch(2);
    await outbox().claimBatch({ limit: 2, leaseMs: 1, workerId: 'gone' });
    await pool.query('update waybill.outbox_messages set expirations = 1');
    await dispatch(6);
    let [running, most, together] = [0, 0, 0];
    script = async (ctx) => {
      running += 1;
      if (ctx.message.attempt > 1) together = Math.max(together, running);
      most = Math.max(most, running);
      await ctx.db.query('select pg_sleep(0.02)');
      running -= 1;
    };
    expect(await drain()).toMatchObject({ delivered: 8 });
    expect([together, most]).toEqual([1, 6]);
  });

  it("a job's concurrency holds within the drain", async () => {
    await dispatch(6, narrow);
    let [running, most] = [0, 0];
    script = async (ctx) => {
      most = Math.max(most, ++running);
      await ctx.db.query('select pg_sleep(0.01)');
      running -= 1;
    };
    expect(await drain()).toMatchObject({ delivered: 6 });
    expect(most).toBe(2);
  });

  it('C: several drains at once deliver each message once', async () => {
    await dispatch(200);
    script = async (ctx, n) => void (await ctx.db.query('insert into effects values ($1)', [n]));
    const small = new pg.Pool({ connectionString: database.url, max: 12 });
    const reports = await Promise.all(
      [1, 2, 3, 4].map(() => drain({ pool: small, concurrency: 3, batchSize: 200 })),
    );
    await small.end();
    expect(reports.reduce((sum, report) => sum + report.delivered, 0)).toBe(200);
    const { rows } = await pool.query(
      'select count(*)::int as all, count(distinct n)::int as different from effects',
    );
    expect(rows).toEqual([{ all: 200, different: 200 }]);
  });

  it('emails are left alone without a provider, and sent with one', async () => {
    const sent: unknown[] = [];
    const provider: EmailProvider = {
      name: 'test',
      idempotent: false,
      send: async (email, { messageId }) => {
        sent.push([email.to, messageId]);
        return { accepted: ['ann@customers.test'], rejected: [], response: 'ok' };
      },
      close: async () => undefined,
    };
    const email = { to: 'ann@customers.test', subject: 'Hello', text: 'Hello' };
    await expect(enqueueEmail(outbox(), email)).rejects.toMatchObject({ code: 'from_required' });
    const { id } = await enqueueEmail(outbox(), email, { from: 'shop@example.test' });
    const lines: string[] = [];
    const log = pino({}, { write: (line: string) => void lines.push(line) });
    expect(await drain({ log })).toEqual(none);
    expect(lines).toEqual([expect.stringContaining('emails are due, and this drain has no provider')]);
    expect(await drain({ email: { provider } })).toMatchObject({ delivered: 1 });
    expect(sent).toEqual([[[{ address: 'ann@customers.test' }], `<${id}@example.test>`]]);
  });

  it('without a relay a drain gives a parked queue its probe, and reopens it', async () => {
    const db = database.db;
    const log = createLog({ level: 'silent', role: 'test' });
    const events = createEvents(log, createMetrics({ version: 'test' }));
    const closer = createQueueCloser({ db, events, workerId: 'w', outboxOn: createPostgresOutbox });
    let mended = false;
    const provider: EmailProvider = {
      name: 'test',
      idempotent: false,
      send: async () => {
        if (!mended)
          throw new EmailError('wrong password', { provider: 'test', phase: 'answered', code: 'EAUTH' });
        return { accepted: [], rejected: [], response: 'ok' };
      },
      close: async () => undefined,
    };
    const process = {
      closer,
      claimProbes: () => claimProbes(db, ['email'], { leaseMs: 60_000, workerId: 'w' }),
    };
    const run = () =>
      drainOutbox({ outbox: outbox(), registry, log, email: { provider, from: 'a@b.test' } }, process);
    for (const subject of ['one', 'two'])
      await enqueueEmail(outbox(), { to: 'ann@customers.test', subject, text: 't', from: 'a@b.test' });
    await run();
    expect(await statuses()).toEqual(['pending', 'pending']);
    mended = true;
    expect(await run()).toEqual(none); // parked, and not yet time for a probe
    await pool.query(`update waybill.queues set probe_at = now() where name = 'email'`);
    await run();
    await run();
    expect(await statuses()).toEqual(['delivered', 'delivered']);
  });

  it("works on a table of the user's own, and on an outbox in memory", async () => {
    const own = outbox({ tableName: 'own' });
    await dispatch(3, job, own);
    script = async (ctx, n) => void (await ctx.db.query('insert into effects values ($1)', [n]));
    expect(await drain()).toEqual(none);
    expect(await drain({ outbox: own })).toMatchObject({ delivered: 3 });
    expect(await effects()).toBe(3);
    await dispatch(1, job, own);
    await pool.query('update own set expirations = 2'); // of the one that waits: a suspect, which is claimed alone
    expect(await drain({ outbox: own })).toMatchObject({ delivered: 1 });
    const memory = createMemoryOutbox();
    await dispatch(2, job, memory);
    script = async (ctx, n) => void (n === 0 && (await ctx.jobs.dispatch(job, { n: 5 })));
    const reports = [
      await drainOutbox({ outbox: memory, registry }),
      await drainOutbox({ outbox: memory, registry }),
    ];
    expect(reports.reduce((sum, { delivered }) => sum + delivered, 0)).toBe(3);
    expect(memory.messages.map((m) => m.status)).toEqual(['delivered', 'delivered', 'delivered']);
  });

  it('a handler that needs a database and has none fails with what to do', async () => {
    await dispatch(1);
    script = async (ctx) => void (await ctx.db.query('select 1'));
    expect(await drainOutbox({ outbox: outbox(), registry })).toMatchObject({ dead: 1 });
    const { rows } = await pool.query('select last_error from waybill.outbox_messages');
    expect(rows[0]).toEqual({ last_error: expect.stringContaining('give drainOutbox a pool') as string });
  });

  it.each([
    [{ batchSize: 0 }, 'drain_options_invalid'],
    [{ batchSize: 1e9 }, 'drain_options_invalid'],
    [{ concurrency: 1.5 }, 'drain_options_invalid'],
    [{ leaseMs: -1 }, 'drain_options_invalid'],
    [{ bachSize: 5 }, 'definition_invalid'],
    [{ registry: undefined }, 'drain_options_invalid'],
    [{ registry: {} }, 'drain_options_invalid'],
    [{ outbox: {} }, 'drain_options_invalid'],
    [{ outbox: undefined }, 'drain_options_invalid'],
  ])('%j is refused', async (options, code) => {
    await expect(drain(options as Partial<DrainOptions>)).rejects.toMatchObject({ code });
  });

  it('handlers given as other libraries take them are refused, with what to give instead', async () => {
    const given = { outbox: outbox(), eventBus: {}, jobs: [job] } as unknown as DrainOptions;
    await expect(drainOutbox(given)).rejects.toThrow(
      /not as eventBus, jobs: registry: defineOutboxRegistry\(\{ events, listeners, jobs \}\)/,
    );
  });
});

describe('createOutboxDrainRoute', () => {
  const route = (over = {}) =>
    createOutboxDrainRoute({ outbox: outbox(), registry, pool, secret: 'geheim', ...over });
  const ask = async (
    handler: ReturnType<typeof route>,
    query = '',
    init: { method?: string; headers?: Record<string, string> } = {},
  ) => {
    const headers = { authorization: 'Bearer geheim', ...init.headers };
    const response = await handler(new Request(`https://shop.test/drain${query}`, { ...init, headers }));
    return {
      status: response.status,
      body: (await response.json()) as Record<string, unknown>,
      headers: response.headers,
    };
  };

  it('drains one bounded batch', async () => {
    await dispatch(5);
    expect(await ask(route(), '?batchSize=3')).toMatchObject({
      status: 200,
      body: { claimed: 3, delivered: 3, retried: 0, dead: 0 },
    });
    expect(await ask(route(), '', { method: 'POST' })).toMatchObject({ status: 200, body: { claimed: 2 } });
  });

  it('exports itself under the methods that it takes, as a module of routes wants them', async () => {
    const { GET, POST } = route();
    await dispatch(2);
    expect(await ask(GET as ReturnType<typeof route>, '?batchSize=1')).toMatchObject({
      body: { delivered: 1 },
    });
    expect(await ask(POST as ReturnType<typeof route>, '', { method: 'POST' })).toMatchObject({
      body: { delivered: 1 },
    });
  });

  it("tells its caller's request and trace with each delivery, beside the message's own", async () => {
    const told: { requestId: string; traceId: string }[] = [];
    const instrumentation = {
      delivered: ({ requestId, traceId }: DeliveredEvent) => void told.push({ requestId, traceId }),
    };
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
    const traceparent = `00-${traceId}-00f067aa0ba902b7-01`;
    await dispatch(1);
    await ask(route({ instrumentation }), '', { headers: { traceparent, 'x-request-id': 'cron-7' } });
    await dispatch(1);
    await ask(route({ instrumentation }), '', { headers: { traceparent: '00-nonsense' } });
    expect(told).toEqual([
      { requestId: 'cron-7', traceId },
      {
        requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
        traceId: expect.stringMatching(/^[0-9a-f]{32}$/) as string,
      },
    ]);
  });

  it('is bounded in time: what still runs then is given back', async () => {
    await dispatch(1);
    script = () => new Promise(() => undefined);
    expect(await ask(route({ timeLimitMs: 1_500 }))).toMatchObject({
      status: 200,
      body: { claimed: 1, released: 1 },
    });
  });

  it.each([
    ['the wrong key', {}, '', { headers: { authorization: 'Bearer falsch' } }, 401, 'unauthorized'],
    ['no key', {}, '', { headers: { authorization: '' } }, 401, 'unauthorized'],
    ['no secret', { secret: null }, '', {}, 503, 'drain_closed'],
    ['an empty secret', { secret: '' }, '', { headers: { authorization: 'Bearer ' } }, 503, 'drain_closed'],
    ['another method', {}, '', { method: 'PUT' }, 405, 'method_not_allowed'],
    ['no number', {}, '?batchSize=many', {}, 400, 'invalid_batch_size'],
    ['zero', {}, '?batchSize=0', {}, 400, 'invalid_batch_size'],
    ['too many', { maxBatchSize: 10 }, '?batchSize=11', {}, 400, 'invalid_batch_size'],
    ['twice', {}, '?batchSize=1&batchSize=2', {}, 400, 'invalid_batch_size'],
  ])('%s', async (_, over, query, init, status, code) => {
    await dispatch(1);
    const answer = await ask(route(over), query, init);
    expect([answer.status, answer.body['code']]).toEqual([status, code]);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(await statuses()).toEqual(['pending']);
  });

  it('an error of the database is told to the application, not to the caller', async () => {
    const errors: unknown[] = [];
    const lost = createPostgresOutbox(pool, { tableName: 'not_there' });
    const answer = await ask(route({ outbox: lost, onError: (error: unknown) => errors.push(error) }));
    expect(answer.status).toBe(500);
    expect(JSON.stringify(answer.body)).not.toContain('not_there');
    expect(errors).toHaveLength(1);
  });
});

describe('pruneOutbox', () => {
  it.each([undefined, 'own'])('deletes what is past its retention, from the table %s', async (tableName) => {
    const its = outbox({ tableName });
    const enqueue = (deliveryKey: string, over = {}) =>
      enqueueJob(its, job, { n: 1 }, { deliveryKey, ...over });
    const prune = (options: PruneOptions = {}) => pruneOutbox(pool, { tableName, ...options });
    await enqueue('done');
    await drain({ outbox: its });
    await enqueue('later', { availableAt: new Date(Date.now() + 86_400_000) });
    expect(await prune()).toEqual({ messages: 0, keys: 0 });
    expect(await prune({ deliveredRetention: 0 })).toEqual({ messages: 1, keys: 0 });
    expect(await enqueue('done')).toMatchObject({ duplicate: true }); // its key holds
    expect(await prune({ deliveredRetention: 0, keyRetention: 0 })).toEqual({ messages: 0, keys: 1 });
    expect(await enqueue('done')).toMatchObject({ duplicate: false });
    expect(await enqueue('later')).toMatchObject({ duplicate: true }); // what waits is never deleted
  });

  it('works under a search_path that is not ours, and refuses what it does not know', async () => {
    const odd = new pg.Pool({ connectionString: database.url, max: 1, options: '-c search_path=nowhere' });
    try {
      expect(await pruneOutbox(odd)).toEqual({ messages: 0, keys: 0 });
    } finally {
      await odd.end();
    }
    const refused = { code: 'options_invalid' };
    await expect(pruneOutbox(pool, { retention: '7d' } as PruneOptions)).rejects.toMatchObject(refused);
    const word = { keyRetention: 'a week' } as unknown as PruneOptions;
    await expect(pruneOutbox(pool, word)).rejects.toMatchObject(refused);
  });
});
