import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  createMemoryOutbox,
  createOutboxEventRecorder,
  defineEvent,
  defineJob,
  defineListener,
  defineOutboxRegistry,
  enqueueEmail,
  enqueueJob,
  idempotent,
  type HandlerContext,
} from '../../src/index.ts';
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
