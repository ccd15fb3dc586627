import pg from 'pg';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  createMemoryOutbox,
  createOutboxEventRecorder,
  defineEvent,
  defineJob,
  defineListener,
  defineOutboxRegistry,
  drainOutbox,
  enqueueEmail,
  enqueueJob,
  idempotent,
  PermanentError,
  type HandlerContext,
} from '../../src/index.ts';
import { checkedBounds } from '../../src/drain/options.ts';
import { drainMemoryOutbox, type DrainMemoryOptions } from '../../src/testing.ts';

// Real: the drain, attempts, handlers' transactions. Doubled: the outbox is the one in memory, and the database a list of what was asked.

const payload = z.object({ n: z.number() });
let script: (ctx: HandlerContext, n: number) => Promise<void> = async () => undefined;
const work = defineJob({ name: 'work', payload, handler: (ctx, { n }) => script(ctx, n) });
const happened = defineEvent({ name: 'happened', payload });
const ask = defineListener({
  name: 'ask',
  event: happened,
  async handler(ctx, { n }) {
    await ctx.jobs.dispatch(work, { n });
  },
});
const registry = defineOutboxRegistry({ events: [happened], listeners: [ask], jobs: [work] });
const states = (outbox: DrainMemoryOptions['outbox']): string[] =>
  outbox.messages.map(({ name, status }) => `${name} ${status}`);

describe('drainMemoryOutbox', () => {
  it('delivers an event, its listener and the job that it enqueues', async () => {
    const outbox = createMemoryOutbox();
    const done: number[] = [];
    script = async (_, n) => void done.push(n);
    await createOutboxEventRecorder(outbox).record(happened, { n: 7 });
    expect(await drainMemoryOutbox({ outbox, registry })).toMatchObject({ claimed: 3, delivered: 3 });
    expect(done).toEqual([7]);
  });

  it('a listener’s message has the group, the order key and the tags of its event, and what it enqueues has not', async () => {
    const outbox = createMemoryOutbox();
    script = async () => undefined;
    await createOutboxEventRecorder(outbox).record(
      happened,
      { n: 7 },
      { group: 'g', orderKey: 'o', tags: ['t'] },
    );
    await drainMemoryOutbox({ outbox, registry });
    expect(outbox.messages.map(({ kind, group, orderKey, tags }) => [kind, group, orderKey, tags])).toEqual([
      ['event', 'g', 'o', ['t']],
      ['listener', 'g', 'o', ['t']],
      ['job', undefined, undefined, undefined],
    ]);
  });

  it('A: what a failing attempt enqueued is gone, what the next one enqueues stays', async () => {
    const outbox = createMemoryOutbox();
    script = async (ctx, n) => {
      if (n > 1) return;
      await ctx.jobs.dispatch(work, { n: 2 });
      if (ctx.message.attempt === 1) throw new Error('not yet');
    };
    await enqueueJob(outbox, work, { n: 1 });
    const report = await drainMemoryOutbox({ outbox, registry, retryDelayMs: () => 0 });
    expect(report).toMatchObject({ delivered: 2, retried: 1 });
    expect(states(outbox)).toEqual(['work delivered', 'work delivered']);
  });

  it('asks the given database, and says what to pass without one', async () => {
    const outbox = createMemoryOutbox();
    script = async (ctx, n) => void (await ctx.db.query('select $1::int', [n]));
    const asked: unknown[] = [];
    const db = { query: async (...sql: unknown[]) => (asked.push(sql), { rows: [] }) };
    await enqueueJob(outbox, work, { n: 1 });
    expect(await drainMemoryOutbox({ outbox, registry, db })).toMatchObject({ delivered: 1 });
    expect(asked).toEqual([['select $1::int', [1]]]);
    await enqueueJob(outbox, work, { n: 2 });
    await drainMemoryOutbox({ outbox, registry });
    expect(outbox.messages[1]!.lastError).toMatch(/test_database_missing|was given none: pass db/);
  });

  it('runs a function once for each key', async () => {
    const outbox = createMemoryOutbox();
    let runs = 0;
    script = async (ctx) => void (await idempotent(ctx, 'the key', async () => ++runs));
    await enqueueJob(outbox, work, { n: 1 });
    await enqueueJob(outbox, work, { n: 2 });
    expect(await drainMemoryOutbox({ outbox, registry })).toMatchObject({ delivered: 2 });
    expect(runs).toBe(1);
  });

  it('leaves emails alone without a provider, and refuses options that it does not know', async () => {
    const outbox = createMemoryOutbox();
    const email = { to: 'ann@customers.example', subject: 'Hello', text: 'Hello' };
    await enqueueEmail(outbox, email, { from: 'shop@shop.example' });
    expect(await drainMemoryOutbox({ outbox, registry })).toMatchObject({ claimed: 0 });
    expect(states(outbox)).toEqual(['email pending']);
    const unknown = { outbox, registry, pool: {} } as DrainMemoryOptions;
    await expect(drainMemoryOutbox(unknown)).rejects.toMatchObject({ code: 'definition_invalid' });
  });
});

describe('what a drain says without instrumentation', () => {
  const drained = async (
    options: Partial<Parameters<typeof drainOutbox>[0]>,
    outbox = createMemoryOutbox(),
  ): Promise<Record<string, unknown>[]> => {
    const lines: string[] = [];
    const log = pino({ base: null }, { write: (line: string) => void lines.push(line) });
    await drainOutbox({ outbox, registry, log, retryDelayMs: () => 3_600_000, ...options });
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  };

  it('has the lines of ctx.log, and each failed attempt with its error and the place in the code', async () => {
    const outbox = createMemoryOutbox();
    script = async (ctx, n) => {
      ctx.log.info({ n }, 'working');
      throw n === 1 ? new Error('no luck') : new PermanentError('no such account');
    };
    await enqueueJob(outbox, work, { n: 1 });
    await enqueueJob(outbox, work, { n: 2 });
    const lines = await drained({ concurrency: 1 }, outbox);
    expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
      [30, 'working'],
      [40, 'will be retried'],
      [30, 'working'],
      [50, 'dead: no retry will follow'],
    ]);
    expect(lines[1]).toMatchObject({ name: 'work', attempt: 1, maxAttempts: 10, nextAttemptInMs: 3_600_000 });
    expect(lines[1]!['error']).toMatch(/no luck .*drain-memory\.test\.ts/);
    expect(lines[1]!['stack']).toContain('drain-memory.test.ts');
  });

  it('leaves to instrumentation what that gets', async () => {
    const outbox = createMemoryOutbox();
    script = async () => {
      throw new Error('no luck');
    };
    await enqueueJob(outbox, work, { n: 1 });
    const told: string[] = [];
    const instrumentation = { retried: ({ error }: { error: string }) => void told.push(error) };
    expect([await drained({ instrumentation }, outbox), told.length]).toEqual([[], 1]);
  });

  it('warns once a call of due emails that have no provider here', async () => {
    const outbox = createMemoryOutbox();
    script = async () => undefined;
    const email = { from: 'shop@shop.example', to: 'ann@customers.example', subject: 'Hi', text: 'Hi' };
    await enqueueEmail(outbox, { ...email, availableAt: new Date(Date.now() + 60_000) });
    expect(await drained({}, outbox)).toEqual([]);
    await enqueueEmail(outbox, email);
    await enqueueJob(outbox, work, { n: 1 });
    const lines = await drained({ untilEmpty: true, batchSize: 1 }, outbox);
    expect(lines.map(({ msg }) => msg)).toEqual([expect.stringContaining('no provider for them')]);
    expect(states(outbox)).toContain('work delivered');
  });
});

describe('how many deliveries run at a time in a drain', () => {
  const options = { outbox: createMemoryOutbox(), registry };
  const pool = (max: number) => new pg.Pool({ max }); // opens no connection before it is used

  it.each([
    [undefined, 10],
    [pool(50), 10],
    [pool(10), 8],
    [pool(2), 1],
    [pool(1), 1],
  ])('leaves two connections of the pool for claims and leases (%#)', (given, most) => {
    expect(checkedBounds({ ...options, pool: given }).concurrency).toBe(most);
  });

  it('is what the caller says, whatever the pool', () => {
    expect(checkedBounds({ ...options, pool: pool(2), concurrency: 4 }).concurrency).toBe(4);
  });
});
