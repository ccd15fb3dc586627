// An application of cron jobs for tests of real processes: the jobs come from the environment, so that two versions of it can run side by side.
// Its actions leave their mark in their transaction, with the process that ran them.

import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { CronJobOptions } from '../../src/define/cron-job.ts';
import { defineAction, defineApp, defineCron, type App } from '../../src/index.ts';

export const ticksTable = `create table ticks (scheduled_at timestamptz, source text, pid int, version text)`;

const mark = defineAction({
  name: 'mark',
  access: 'system',
  args: z.object({ version: z.string().default(''), ms: z.number().default(0) }),
  async handler(ctx, { version, ms }) {
    if (ctx.invoker.type !== 'system') throw new Error('not called by the system');
    await sleep(ms);
    await ctx.db.query('insert into ticks values ($1, $2, $3, $4)', [
      ctx.invoker.scheduledAt,
      ctx.invoker.source,
      process.pid,
      version,
    ]);
    return { pid: process.pid };
  },
});

export type MarkJob = Omit<CronJobOptions<string>, 'action'>;

export function cronApp(jobs: readonly MarkJob[]): App {
  return defineApp({
    actions: [mark],
    cron: defineCron({ jobs: jobs.map((job) => ({ ...job, action: mark.name })) }),
  });
}

/** What a process needs in its environment to be of this version. */
export function cronEnv(jobs: readonly MarkJob[]): Record<string, string> {
  return { WAYBILL_APP: 'test/support/cron-app.ts', TEST_CRON_JOBS: JSON.stringify(jobs) };
}

export default cronApp(JSON.parse(process.env['TEST_CRON_JOBS'] ?? '[]') as MarkJob[]);
