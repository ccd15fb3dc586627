// The application of the fleet under test: a job, an event with two listeners, jobs with an order key, jobs in groups with a limit, cron jobs, and a
// job that kills its process. Emails need no handler.

import { z } from 'zod';
import {
  defineAction,
  defineApp,
  defineCron,
  defineEvent,
  defineJob,
  defineListener,
  defineQueue,
  type HandlerContext,
} from '../src/index.ts';
import { doWork, note } from './work.ts';

/** Messages of one tenant in flight at a time. */
export const perTenant = 2;
export const tickJobs = Array.from({ length: 40 }, (_, i) => `tick-${String(i).padStart(2, '0')}`);
/** Of a message that kills its process. */
export const poisonAttempts = 3;

/** Fast enough for a run of a minute, and enough of them for any number of faults. */
const retry = { maxAttempts: 100, backoff: { initial: 100, max: 1_000 } };
const payload = z.object({ work: z.string(), ms: z.number() });
type Payload = z.infer<typeof payload>;

async function run(ctx: HandlerContext, { work, ms }: Payload, group?: string): Promise<void> {
  const { id: message, attempt } = ctx.message;
  await doWork({ work, ms, message, attempt, group }, () =>
    ctx.db.query('insert into chaos.effects (work, attempt, pid) values ($1, $2, $3)', [
      work,
      attempt,
      process.pid,
    ]),
  );
}

export const job = defineJob({ name: 'job', payload, retry, handler: (ctx, given) => run(ctx, given) });

export const entry = defineJob({
  name: 'entry',
  queue: 'accounts',
  payload: payload.extend({ account: z.string(), seq: z.number() }),
  retry,
  async handler(ctx, given) {
    const { id: message, attempt } = ctx.message;
    const { work, ms, account, seq } = given;
    await doWork({ work, ms, message, attempt, group: account }, async () => {
      await ctx.db.query('insert into chaos.effects (work, attempt, pid) values ($1, $2, $3)', [
        work,
        attempt,
        process.pid,
      ]);
      await ctx.db.query('insert into chaos.sequence (account, seq) values ($1, $2)', [account, seq]);
    });
  },
});

export const tenantJob = defineJob({
  name: 'tenant',
  queue: 'tenants',
  payload: payload.extend({ tenant: z.string() }),
  retry,
  handler: (ctx, given) => run(ctx, given, given.tenant),
});

export const placed = defineEvent({ name: 'placed', payload });
const listener = (name: string) =>
  defineListener({
    name,
    event: placed,
    retry,
    handler: (ctx, { work, ms }) => run(ctx, { work: `${work}-${name}`, ms }),
  });

/** Kills its process, each time that it runs. */
export const poison = defineJob({
  name: 'poison',
  payload: z.object({ work: z.string() }),
  retry: { maxAttempts: poisonAttempts, backoff: { initial: 100, max: 100 } },
  async handler(ctx, { work }) {
    note({ work, message: ctx.message.id, attempt: ctx.message.attempt, what: 'began' });
    process.kill(process.pid, 'SIGKILL');
    await new Promise(() => undefined);
  },
});

const tick = defineAction({
  name: 'tick',
  access: 'system',
  args: z.object({ job: z.string() }),
  safeToRetry: true,
  async handler(ctx, { job: name }) {
    if (ctx.invoker.type !== 'system') return;
    await ctx.db.query('insert into chaos.ticks (job, scheduled_at) values ($1, $2)', [
      name,
      ctx.invoker.scheduledAt,
    ]);
  },
});

export default defineApp({
  email: { retry: { maxAttempts: 100, backoff: { initial: 100, max: 1_000 } } },
  actions: [tick],
  jobs: [job, entry, tenantJob, poison],
  events: [placed],
  listeners: [listener('first'), listener('second')],
  queues: [
    defineQueue({ name: 'tenants', perGroup: { concurrency: perTenant }, ramp: '0s' }),
    defineQueue({ name: 'accounts', ramp: '0s' }),
  ],
  cron: defineCron({
    jobs: tickJobs.map((name) => ({
      name,
      schedule: '* * * * *',
      action: tick,
      args: { job: name },
      missedTickPolicy: 'all' as const,
    })),
  }),
});
