// An application whose messages kill their process, and whose handlers say that they began before anything else: in a file, at once, so that
// the word of the last one is there too.

import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { defineApp, defineJob } from '../../src/index.ts';

const file = process.env['BEGUN_FILE']!;

type Line = { readonly id: string; readonly attempt: number; readonly what: 'began' | 'ended' };

function say(id: string, attempt: number, what: Line['what']): void {
  appendFileSync(file, `${JSON.stringify({ id, attempt, what, at: Date.now(), pid: process.pid })}\n`);
}

const retry = { maxAttempts: 10, backoff: { initial: 20, max: 50 } };

const killer = defineJob({
  name: 'killer',
  payload: z.object({}),
  retry,
  async handler(ctx) {
    say(ctx.message.id, ctx.message.attempt, 'began');
    process.kill(process.pid, 'SIGKILL');
    await sleep(60_000);
  },
});

const neighbour = defineJob({
  name: 'neighbour',
  payload: z.object({ ms: z.number() }),
  retry,
  async handler(ctx, { ms }) {
    say(ctx.message.id, ctx.message.attempt, 'began');
    await sleep(ms);
    say(ctx.message.id, ctx.message.attempt, 'ended');
  },
});

/** In a queue of its own. */
const quick = defineJob({
  name: 'quick',
  queue: 'quick',
  payload: z.object({}),
  async handler(ctx) {
    say(ctx.message.id, ctx.message.attempt, 'began');
    await sleep(2);
    say(ctx.message.id, ctx.message.attempt, 'ended');
  },
});

const failing = defineJob({
  name: 'failing',
  payload: z.object({ ms: z.number() }),
  retry: { maxAttempts: 3, backoff: { initial: 50, max: 500 } },
  async handler(ctx, { ms }) {
    say(ctx.message.id, ctx.message.attempt, 'began');
    await sleep(ms);
    if (ctx.message.attempt < 3) throw new Error('not yet');
    say(ctx.message.id, ctx.message.attempt, 'ended');
  },
});

export default defineApp({ jobs: [killer, neighbour, quick, failing] });
