// An application for fleet tests. Its handlers leave a mark outside of their transaction, at once, so that every single run is seen.

import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { z } from 'zod';
import { defineApp, defineEvent, defineJob, defineListener } from '../../src/index.ts';

// With a time limit, as an application needs where connections can fall silent; pg has none by default.
const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'], max: 5, query_timeout: 5_000 });
pool.on('error', () => undefined); // tests stop the server; a mark that cannot be left fails its own query

async function mark(id: string, attempt: number, what: string): Promise<void> {
  await pool.query('insert into marks (message_id, attempt, what, pid) values ($1, $2, $3, $4)', [
    id,
    attempt,
    what,
    process.pid,
  ]);
}

/** Works for `ms`, then leaves its mark. */
const work = defineJob({
  name: 'work',
  payload: z.object({ ms: z.number() }),
  retry: { maxAttempts: 10, backoff: { initial: 50, max: 200 } },
  async handler(ctx, { ms }) {
    await sleep(ms);
    await mark(ctx.message.id, ctx.message.attempt, 'work');
  },
});

/** Marks that it began, works on whatever its signal says, marks that it ended, and writes in its transaction. */
const stubborn = defineJob({
  name: 'stubborn',
  payload: z.object({ ms: z.number() }),
  async handler(ctx, { ms }) {
    await mark(ctx.message.id, ctx.message.attempt, 'begin');
    await sleep(ms);
    await ctx.db.query('insert into effects (message_id) values ($1)', [ctx.message.id]);
  },
});

const poison = defineJob({
  name: 'poison',
  payload: z.object({}),
  async handler(ctx) {
    await mark(ctx.message.id, ctx.message.attempt, 'poison');
    process.exit(1);
  },
});

const flaky = defineJob({
  name: 'flaky',
  payload: z.object({ failures: z.number() }),
  retry: { maxAttempts: 3, backoff: { initial: 20, max: 20 } },
  async handler(ctx, { failures }) {
    await ctx.db.query('insert into effects (message_id) values ($1)', [ctx.message.id]);
    if (ctx.message.attempt <= failures) throw new Error(`no luck in attempt ${ctx.message.attempt}`);
  },
});

/** Two at a time in each process, in a queue of its own. */
const narrow = defineJob({
  name: 'narrow',
  payload: z.object({ ms: z.number() }),
  concurrency: 2,
  async handler(ctx, { ms }) {
    await mark(ctx.message.id, ctx.message.attempt, 'narrow begins');
    await sleep(ms);
    await mark(ctx.message.id, ctx.message.attempt, 'narrow ends');
  },
});

const happened = defineEvent({ name: 'happened', payload: z.object({ n: z.number() }) });
const one = defineListener({
  name: 'one',
  event: happened,
  handler: (ctx) => mark(ctx.message.id, ctx.message.attempt, 'one'),
});
const two = defineListener({
  name: 'two',
  event: happened,
  retry: { backoff: { initial: 20, max: 20 } },
  async handler(ctx) {
    if (ctx.message.attempt === 1) throw new Error('two fails once, alone');
    await mark(ctx.message.id, ctx.message.attempt, 'two');
  },
});

export default defineApp({
  email: { retry: { backoff: { initial: '1s', max: '5s' } } }, // a test cannot wait for the usual minutes
  jobs: [work, stubborn, poison, flaky, narrow],
  events: [happened],
  listeners: [one, two],
  teardown: () => pool.end(),
});
