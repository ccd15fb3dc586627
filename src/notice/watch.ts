// The watch finds what operators should know: parked queues and email providers, and dead letters and skipped ticks of the last hour. One transaction marks the
// findings and records their notices. So any number of processes may watch, and each finding is sent once.

import type { Database } from '../db/pool.ts';
import type { Executor } from '../db/executor.ts';
import { momentOf, momentText, textOfMoment } from '../db/moment.ts';
import type { OutboxPort } from '../outbox/port.ts';
import type { Verification } from '../operate/verify.ts';
import type { Milliseconds } from '../ports.ts';
import { cleanError } from '../redaction/redact.ts';
import { noticeAttempts, noticeJobName } from './job.ts';
import type { Notice, NoticeOf } from './notice.ts';

const interval: Milliseconds = 10_000;
/** Of one notice; the rest goes into the next. */
const limit = 10_000;

/** Marks the new rows of `found`, which selects one key for each finding. */
const tell = (found: string): string =>
  `insert into waybill.notices_told (key) ${found} on conflict do nothing returning key`;

/**
 * Values: name of the notice job; rows. A message that dies again after a retry is reported again. A refused recipient is not reported: no operator
 * can mend it.
 */
export const deadSql = `
  with fresh as (${tell(`
    select 'dead:' || id || ':' || extract(epoch from dead_at) from waybill.outbox_messages m
     where dead_at is not null and dead_at > now() - interval '1 hour' and name <> $1 and coalesce(dead_cause, '') <> 'recipient'
       and not exists (select from waybill.notices_told where key = 'dead:' || m.id || ':' || extract(epoch from m.dead_at))
     order by dead_at limit $2`)})
  select kind, name, queue, count(*)::int as count, max(left(last_error, 10000)) as "lastError", (array_agg(id::text order by id))[1:5] as ids
    from waybill.outbox_messages where id = any(array(select split_part(key, ':', 2)::uuid from fresh))
   group by kind, name, queue order by count desc limit 50`;

export const parkedSql = `
  with fresh as (${tell(`
    select 'parked:' || name || ':' || extract(epoch from parked_at) from waybill.queues
     where parked_at is not null order by name`)})
  select name as queue, ${momentText('parked_at')} as since, left(parked_reason, 10000) as reason from waybill.queues
   where parked_at is not null and 'parked:' || name || ':' || extract(epoch from parked_at) in (select key from fresh)
   order by name`;

/** An email provider that is parked while others stand beside it. */
export const providerParkedSql = `
  with fresh as (${tell(`
    select 'provider:' || name || ':' || extract(epoch from parked_at) from waybill.email_providers
     where parked_at is not null order by name`)})
  select name as provider, ${momentText('parked_at')} as since, left(parked_reason, 10000) as reason from waybill.email_providers
   where parked_at is not null and 'provider:' || name || ':' || extract(epoch from parked_at) in (select key from fresh)
   order by name`;

/** Ids of runs are time-ordered, so the newest are at the end of the primary key, however many there are. Values: rows. */
export const skippedSql = `
  with fresh as (${tell(`
    select 'skipped:' || id from (
      select id, status, reason, skipped_ticks, dispatched_at from waybill.cron_runs order by id desc limit $1) r
     where dispatched_at > now() - interval '1 hour' and reason is distinct from 'disabled' and (status = 'skipped' or skipped_ticks > 0)`)})
  select name as job, sum(skipped_ticks + case when status = 'skipped' then 1 else 0 end)::int as count, max(reason) as reason
    from waybill.cron_runs where id = any(array(select substr(key, 9)::uuid from fresh))
   group by name order by count desc limit 50`;

/** Deletes marks older than a day: the watch looks back one hour. Marks of what is parked stay. */
export const forgetSql = `delete from waybill.notices_told where told_at < now() - interval '1 day'
  and key not in (
    select 'parked:' || name || ':' || extract(epoch from parked_at) from waybill.queues where parked_at is not null
    union all
    select 'provider:' || name || ':' || extract(epoch from parked_at) from waybill.email_providers where parked_at is not null)`;

export type WatchPorts = {
  readonly db: Database;
  readonly outboxOn: (db: Executor) => OutboxPort;
  /** Called after notices were recorded. */
  readonly notify: () => void;
};

export function createWatch({ db, outboxOn, notify }: WatchPorts): () => Promise<Milliseconds> {
  return async function watchStep() {
    const told = await db.transaction(async (tx) => {
      await tx.executeSql(forgetSql);
      return record(outboxOn(tx), await news(tx));
    });
    if (told > 0) notify();
    return interval;
  };
}

async function news(tx: Executor): Promise<Notice[]> {
  type Dead = NoticeOf<'waybill.dead_letters'>['groups'];
  type Skipped = NoticeOf<'waybill.ticks_skipped'>['jobs'];
  type Parked = { since: string; reason: string | null };
  const dead = (await tx.executeSql<Dead[number]>(deadSql, [noticeJobName, limit])).rows;
  const groups = dead.map((group) => ({ ...group, lastError: shown(group.lastError) }));
  const parked = (await tx.executeSql<Parked & { queue: string }>(parkedSql)).rows;
  const away = (await tx.executeSql<Parked & { provider: string }>(providerParkedSql)).rows;
  const jobs = (await tx.executeSql<Skipped[number]>(skippedSql, [limit])).rows;
  const sum = (all: readonly { count: number }[]): number => all.reduce((n, { count }) => n + count, 0);
  const facts = ({ since, reason }: Parked) => ({
    since: textOfMoment(momentOf(since)),
    reason: shown(reason),
  });
  const queues = parked.map(({ queue, ...it }) => ({ queue, ...facts(it) }));
  const providers = away.map(({ provider, ...it }) => ({ provider, ...facts(it) }));
  const found: Notice[] = [];
  if (groups.length > 0) found.push({ type: 'waybill.dead_letters', data: { count: sum(groups), groups } });
  if (queues.length > 0) found.push({ type: 'waybill.queue_parked', data: { queues } });
  if (providers.length > 0) found.push({ type: 'waybill.provider_parked', data: { providers } });
  if (jobs.length > 0) found.push({ type: 'waybill.ticks_skipped', data: { count: sum(jobs), jobs } });
  return found;
}

/** SQL may have written any text of any length, and fifty of these must fit into one payload. */
function shown(text: string | null): string | null {
  return text === null ? null : cleanError(text, 1_000);
}

/** Records what `verify` found. */
export async function tellVerification(
  outbox: OutboxPort,
  { kinds, findings, ok }: Verification,
): Promise<void> {
  if (ok) return;
  const data: NoticeOf<'waybill.books_differ'> = {
    kinds: kinds
      .filter(({ difference }) => difference !== 0)
      .map(({ kind, difference }) => ({ kind, difference })),
    findings: findings.map(({ code, message, count }) => ({ code, message, count })),
  };
  await record(outbox, [{ type: 'waybill.books_differ', data }]);
}

async function record(outbox: OutboxPort, notices: readonly Notice[]): Promise<number> {
  if (notices.length === 0) return 0;
  const message = { kind: 'job', name: noticeJobName, queue: 'jobs', maxAttempts: noticeAttempts } as const;
  await outbox.enqueue(notices.map((payload) => ({ ...message, payload })));
  return notices.length;
}
