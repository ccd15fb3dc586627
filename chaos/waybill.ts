// Waybill as the subject: relay, email ×2, jobs ×2, scheduler ×2 and web, started from the sources with short leases.

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type pg from 'pg';
import { createOutboxEventRecorder, createPostgresOutbox, enqueueEmail, enqueueJob } from '../src/index.ts';
import { toExecutor } from '../src/db/executor.ts';
import { showHistory, timelineOf, type Happening } from '../src/operate/history.ts';
import { verifyOutbox } from '../src/operate/verify.ts';
import { applicationVersion } from '../src/process/application.ts';
import { entry, job, placed, poison, tenantJob, tickJobs } from './app.ts';
import { nodeArgs } from './processes.ts';
import { ticksOf } from './ticks.ts';
import {
  workOf,
  type Breach,
  type DatabaseVitals,
  type Ending,
  type Order,
  type ProcessSpec,
  type Subject,
  type Where,
} from './subject.ts';

export const project = fileURLToPath(new URL('..', import.meta.url));

const roles = ['relay', 'relay', 'email', 'email', 'jobs', 'jobs', 'scheduler', 'scheduler', 'web'] as const;

const from = 'shop@chaos.example';

export function waybill(): Subject {
  return {
    name: 'waybill',
    about: { version: applicationVersion(`${project}app/index.ts`) ?? '', processes: roles.join(' ') },
    parts: ['email', 'job', 'event-first', 'event-second', 'account', 'tenant'],
    prepare,
    processes: (where) =>
      roles.map((role, i): ProcessSpec => ({
        name: `${role}-${roles.slice(0, i + 1).filter((one) => one === role).length}`,
        args: [`workers/${role}.ts`],
        env: { ...environment(where), ...(role === 'web' ? { PORT: '0' } : {}) },
        ready: `"${role}: started"`,
        delivers: role === 'email' || role === 'jobs',
      })),
    settleIn,
    place,
    async poison(db, work) {
      await enqueueJob(createPostgresOutbox(db), poison, { work }, { deliveryKey: work });
    },
    async dropWakeUps(db, all) {
      await db.query(all ? 'drop schema if exists pgboss cascade' : 'delete from pgboss.job');
    },
    tick: async (db) => void (await db.query(tickSql)),
    waiting,
    inFlight,
    vitals,
    ending,
    timeline,
  };
}

function environment({ fleetUrl, smtpUrl, leaseMs, slots, keepMs }: Where): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: process.env['HOME'] ?? '',
    NODE_COMPILE_CACHE: `${project}.waybill/compiled`,
    DATABASE_URL: fleetUrl,
    SMTP_URL: smtpUrl,
    HOST: '127.0.0.1',
    WAYBILL_APP: 'chaos/app.ts',
    WAYBILL_EMAIL_PROVIDER: 'smtp',
    WAYBILL_EMAIL_FROM: from,
    WAYBILL_LEASE: `${leaseMs}ms`,
    WAYBILL_POLL_INTERVAL: '500ms',
    WAYBILL_CONCURRENCY: String(slots),
    WAYBILL_SHUTDOWN_GRACE: '8s',
    ...(keepMs !== undefined && {
      WAYBILL_DELIVERED_RETENTION: `${keepMs}ms`,
      WAYBILL_KEY_RETENTION: `${keepMs}ms`,
    }),
  };
}

async function prepare(where: Where): Promise<void> {
  const env = { ...environment(where), DATABASE_URL: where.directUrl };
  await promisify(execFile)(process.execPath, [...nodeArgs, 'src/cli/main.ts', 'release'], {
    cwd: project,
    env,
  });
}

/** The cron jobs wait until `tick` moves them, one after the other. */
async function settleIn(db: pg.Pool): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    const { rowCount } = await db.query(`update waybill.cron_jobs set next_at = now() + interval '1 day'`);
    if (rowCount === tickJobs.length) return;
    await sleep(100);
  }
  throw new Error('the cron jobs of the application are not active after a minute');
}

/** Each part has a delivery key, so that an order that is placed twice is one. */
async function place(tx: pg.ClientBase, order: Order): Promise<void> {
  const outbox = createPostgresOutbox(tx);
  const work = (part: Parameters<typeof workOf>[1]) => workOf(order, part);
  const { ms, account, seq, tenant } = order;
  const deliveryKey = order.id;
  await enqueueEmail(
    outbox,
    {
      to: `customer-${seq}@chaos.example`,
      subject: `Order ${order.id}`,
      text: 'Thank you.',
      headers: { 'X-Chaos-Work': work('email') },
      deliveryKey,
    },
    { from },
  );
  await enqueueJob(outbox, job, { work: work('job'), ms }, { deliveryKey });
  const events = createOutboxEventRecorder(outbox);
  await events.record(placed, { work: `${order.id}:event`, ms }, { deliveryKey });
  const entryOf = { work: work('account'), ms: ms / 4, account, seq };
  await enqueueJob(outbox, entry, entryOf, { deliveryKey, orderKey: account });
  await enqueueJob(outbox, tenantJob, { work: work('tenant'), ms, tenant }, { deliveryKey, group: tenant });
}

const live = `status in ('pending', 'sending', 'failed')`;

async function waiting(db: pg.Pool) {
  const { rows } = await db.query<{ what: string; count: number }>(
    `select format('%s in the queue %s%s', status, queue, case when expirations > 1 then ' (suspects)' end) as what, count(*)::int as count
       from waybill.outbox_messages where ${live} group by 1
     union all
     select 'cron jobs with a tick that is due', count(*)::int from waybill.cron_jobs where next_at <= now() having count(*) > 0`,
  );
  return rows;
}

async function inFlight(db: pg.Pool): Promise<Map<number, number>> {
  const { rows } = await db.query<{ pid: number; n: number }>(
    `select split_part(claimed_by, ':', 2)::int as pid, count(*)::int as n from waybill.outbox_messages where status = 'sending' group by 1`,
  );
  return new Map(rows.map(({ pid, n }) => [pid, n]));
}

/** The job that was not moved for longest. Three minutes back, so two or three ticks are due at once. */
const tickSql = `
  with job as (
    select name from waybill.cron_jobs where name not in (select job from chaos.waves) and name = any('{${tickJobs.join(',')}}')
     order by name limit 1),
  moved as (
    update waybill.cron_jobs j set cursor_at = date_trunc('minute', now()) - interval '3 minutes', next_at = date_trunc('minute', now()) - interval '2 minutes'
      from job where j.name = job.name returning j.name, j.cursor_at),
  kept as (insert into chaos.waves (job, from_at) select name, cursor_at from moved)
  select pg_notify('waybill_cron', '')`;

async function vitals(db: pg.Pool): Promise<DatabaseVitals> {
  const { rows } = await db.query<{ connections: number; deadRows: number; indexBytes: number }>(
    `select (select count(*)::int from pg_stat_activity where datname = current_database() and application_name like 'waybill%') as connections,
            sum(n_dead_tup)::float8 as "deadRows", sum(pg_indexes_size(relid))::float8 as "indexBytes"
       from pg_stat_user_tables where schemaname in ('waybill', 'pgboss')`,
  );
  const lag = await db.query<{ le: string; value: number }>(
    `select labels ->> 'le' as le, sum(value)::float8 as value from waybill.counters where name = 'waybill_relay_lag_seconds_bucket' group by 1`,
  );
  const edge = (le: string): number => (le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le));
  return { ...rows[0]!, lag: new Map(lag.rows.map(({ le, value }) => [edge(le), value])) };
}

/** Attempts that were counted although no failure, no lease that ran out and no delivery explains them: a deploy used them up. */
const burnedSql = `
  select m.id, coalesce(m.payload ->> 'work', m.name) as work from waybill.outbox_messages m
   where m.attempts > (case when m.status in ('delivered', 'sending') then 1 else 0 end) + (
           select count(*) from waybill.outbox_attempts a where a.message_id = m.id and a.outcome in ('retried', 'expired', 'ambiguous', 'dead'))`;

/** Leases that ran out after their worker was asked to end, although it ended with exit code 0. Values: process ids, times of the request. */
const abandonedSql = `
  select a.message_id as id, coalesce(m.payload ->> 'work', m.name) as work from waybill.outbox_attempts a join waybill.outbox_messages m on m.id = a.message_id
   where (a.outcome = 'expired' or a.outcome = 'released' and a.error like 'the lease ran out%') and exists (
     select from unnest($1::int[], $2::float8[]) as e(pid, asked)
      where e.pid = split_part(a.worker, ':', 2)::int and a.finished_at > to_timestamp(e.asked / 1000))`;

const deadSql = `
  select coalesce(m.payload ->> 'work', m.name) as work, split_part(a.worker, ':', 2)::int as pid, (extract(epoch from a.finished_at) * 1000)::float8 as at
    from waybill.outbox_attempts a join waybill.outbox_messages m on m.id = a.message_id
   where a.outcome = 'expired' or (a.outcome = 'released' and a.error like 'the lease ran out%')`;

async function ending(db: pg.Pool, cleanEnds: ReadonlyMap<number, number>): Promise<Ending> {
  const breaches: Breach[] = [];
  type Found = { id: string; work: string };
  const burned = [
    ...(await db.query<Found>(burnedSql)).rows,
    ...(await db.query<Found>(abandonedSql, [[...cleanEnds.keys()], [...cleanEnds.values()]])).rows,
  ];
  if (burned.length > 0)
    breaches.push({
      promise: 'a deploy uses up no attempt',
      text: `${burned.length} attempts were counted that no failure and no crash explains`,
      works: burned.slice(0, 10).map(({ work }) => work),
    });
  const ticks = await ticksOf(db);
  breaches.push(...ticks.breaches);
  const { ok, findings } = await verifyOutbox(toExecutor(db));
  if (!ok)
    breaches.push({
      promise: 'verify balances',
      text: findings.map(({ code, message }) => `${code}: ${message}`).join('; '),
      works: [],
    });
  const refused = `select coalesce(sum(value), 0)::int as n from waybill.counters where name = 'waybill_claims_rejected_total'`;
  const foundDead = (await db.query<Ending['foundDead'][number]>(deadSql)).rows;
  return {
    foundDead,
    columns: {
      'attempts used up by deploys': burned.length,
      'stale settlements refused': (await db.query<{ n: number }>(refused)).rows[0]!.n,
      'ticks due': ticks.due,
      'ticks twice': ticks.twice,
      'ticks missing': ticks.missing,
      verify: ok ? 'balances' : `${findings.length} findings`,
    },
    breaches,
  };
}

async function timeline(db: pg.Pool, work: string): Promise<string[]> {
  const found = await db.query<{ id: string }>(
    `select id from waybill.outbox_messages
      where payload ->> 'work' = $1 or payload -> 'headers' ->> 'X-Chaos-Work' = $1 or payload ->> 'work' = regexp_replace($1, '-(first|second)$', '')`,
    [work],
  );
  const lines: string[] = [];
  for (const { id } of found.rows) {
    const message = await showHistory(toExecutor(db), id);
    const { kind, name, queue, status, attemptCount, maxAttempts } = message;
    lines.push(`${id} ${kind} ${name} in ${queue}: ${status}, ${attemptCount} of ${maxAttempts} attempts`);
    lines.push(...timelineOf(message).map((one) => `  ${happening(one)}`));
  }
  return lines;
}

function happening({ at, ...one }: Happening): string {
  const when = at instanceof Date ? at.toISOString() : '–';
  if (one.what === 'note') return `${when} ${one.note.type}`;
  if (one.what === 'act') return `${when} ${one.act.act}`;
  const { attempt, outcome, worker, error } = one.attempt;
  return `${when} attempt ${attempt}: ${outcome} ${worker ?? ''} ${error ?? ''}`.trimEnd();
}
