// Queues that the system closes: parked after an operator failure until a probe succeeds, or held for the time that the provider named.
// The row decides: of many workers that fail at once, one parks the queue; of all processes, one probes.

import type { Executor } from '../db/executor.ts';
import type { Milliseconds } from '../ports.ts';
import { outboxChannel } from '../outbox/notify.ts';

/** Interval between probes, in ms: 5 s, doubled each time, up to a minute. Those of email providers have the same (providers.ts). */
export const firstProbe = 5_000;
const longestInterval = 60_000;
/** What is parked again within this time after it reopened continues with twice its last interval. */
export const relapse = `interval '2 minutes'`;

/** When the message may be the reason, another is probed after 1 s. After 50 such messages the usual intervals apply. */
const soonProbe = 1_000;
const triedSoon = 50;
/** Number of message ids kept for a queue, the latest ones. */
const remembered = 200;

/** @param row the name of the parked row */
export const longerThan = (row: string): string =>
  `least(${longestInterval}, greatest(${firstProbe}, 2 * coalesce(${row}.probe_ms, ${firstProbe / 2})))`;
const longer = longerThan('q');
const and = (column: string, id: string): string =>
  `(array_remove(q.${column}, ${id}) || ${id})[cardinality(q.${column}) - ${remembered - 2} :]`;
const andIf = (when: string, column: string, id: string): string =>
  `case when ${when} then ${and(column, id)} else q.${column} end`;
export const after = (ms: string): string => `now() + ${ms} * interval '1 millisecond'`;
const noProbe = 'probe_message = null';

/** Reasons are shown in lists, so a line is enough. */
export const kept = (reason: string): string => reason.slice(0, 500).toWellFormed();

const firstInterval = `case when $5 then ${soonProbe} when q.reopened_at > now() - ${relapse} then ${longer} else ${firstProbe} end`;

/**
 * Parks a queue. Values: queue, reason, worker, message, whether that message may be the reason. It returns a row if this call parked the queue:
 * not when it is parked already, nor for an attempt that was claimed before the queue reopened.
 */
export const parkSql = `
  insert into waybill.queues as q (name, parked_at, parked_by, parked_reason, probe_at, probe_ms, probed, maybe_own)
  values ($1, now(), $3, $2, ${after(`case when $5 then ${soonProbe} else ${firstProbe} end`)}, ${firstProbe}, array[$4::uuid],
          case when $5 then array[$4::uuid] else '{}' end)
  on conflict (name) do update
     set parked_at = excluded.parked_at, parked_by = excluded.parked_by, parked_reason = excluded.parked_reason, probes = 0, ${noProbe},
         probe_ms = ${firstInterval}, probe_at = ${after(firstInterval)},
         probed = excluded.probed, maybe_own = ${andIf('$5', 'maybe_own', '$4::uuid')}
   where q.parked_at is null
     and not exists (select from waybill.outbox_messages m where m.id = $4::uuid and m.claimed_at < q.reopened_at)
  returning name`;

/** Records a message that met the failure of its parked queue. Values: queue, message, whether it may be the reason. */
export const blameSql = `
  update waybill.queues q
     set probed = ${and('probed', '$2::uuid')}, maybe_own = ${andIf('$3', 'maybe_own', '$2::uuid')}
   where name = $1 and parked_at is not null`;

/** Whether a message failed in this way before, and others have passed since. Values: queue, message. */
export const isOwnFaultSql = `
  select from waybill.queues where name = $1 and parked_at is null and $2::uuid = any(maybe_own)`;

export type Meeting = {
  readonly reason: string;
  readonly worker: string;
  readonly message: string;
  /** The message may be the reason. */
  readonly maybeOwn?: boolean;
};

/** @returns `parked` when this call parked the queue; `own` when the failure is the message's own after all */
export async function park(
  db: Executor,
  queue: string,
  { reason, worker, message, maybeOwn = false }: Meeting,
): Promise<'parked' | 'was parked' | 'own'> {
  if (maybeOwn && (await db.executeSql(isOwnFaultSql, [queue, message])).rows.length > 0) return 'own';
  const values = [queue, kept(reason), worker, message, maybeOwn];
  if ((await db.executeSql(parkSql, values)).rows.length > 0) return 'parked';
  await db.executeSql(blameSql, [queue, message, maybeOwn]);
  return 'was parked';
}

/** `probed` is reset each time the queue is parked: messages that failed together in one request may be valid after all. */
const nextInterval = `case when $4 and $2::uuid <> all(q.probed) and cardinality(q.probed) < ${triedSoon} then ${soonProbe} else ${longer} end`;

/** Records a failed probe. Values: queue, message, reason, whether the message may be the reason. */
export const probeFailedSql = `
  update waybill.queues q
     set probes = probes + 1, probe_ms = ${nextInterval}, probe_at = ${after(nextInterval)}, parked_reason = $3, ${noProbe},
         probed = ${and('probed', '$2::uuid')}, maybe_own = ${andIf('$4', 'maybe_own', '$2::uuid')}
   where name = $1 and parked_at is not null and probe_message = $2::uuid
  returning probe_ms as "nextMs"`;

/** @returns milliseconds until the next probe; undefined when the queue was reopened meanwhile */
export async function probeFailed(
  db: Executor,
  queue: string,
  { message, reason, maybeOwn = false }: Omit<Meeting, 'worker'>,
): Promise<Milliseconds | undefined> {
  const values = [queue, message, kept(reason), maybeOwn];
  return (await db.executeSql<{ nextMs: Milliseconds }>(probeFailedSql, values)).rows[0]?.nextMs;
}

/** Releases a probe without a result, such as at a shutdown: another one may begin at once. */
export const probeGivenBackSql = `
  update waybill.queues set probe_at = now(), ${noProbe}
   where name = $1 and parked_at is not null and probe_message = $2`;

export async function giveBackProbe(db: Executor, queue: string, message: string): Promise<void> {
  await db.executeSql(probeGivenBackSql, [queue, message]);
}

/** Reopens a queue after a successful probe, with a NOTIFY to relays and workers. */
export const reopenSql = `
  with reopened as (
    update waybill.queues
       set parked_at = null, parked_by = null, parked_reason = null, reopened_at = now(), ramp_from = now(), ${noProbe},
           probed = '{}', maybe_own = array_remove(maybe_own, $2::uuid)
     where name = $1 and parked_at is not null and probe_message = $2::uuid
    returning name)
  select name, pg_notify('${outboxChannel}', name) from reopened`;

/** @returns whether this call reopened it */
export async function reopen(db: Executor, queue: string, message: string): Promise<boolean> {
  return (await db.executeSql(reopenSql, [queue, message])).rows.length > 0;
}

/** Holds a queue. Values: queue, milliseconds, reason. A hold is extended, never shortened. */
export const holdSql = `
  insert into waybill.queues as q (name, held_at, held_until, held_reason) values ($1, now(), ${after('$2')}, $3)
  on conflict (name) do update
     set held_at = case when q.held_until > now() then q.held_at else now() end,
         held_until = greatest(q.held_until, excluded.held_until), held_reason = excluded.held_reason
  returning held_at = now() as fresh`;

/** @returns whether the queue was not held before */
export async function hold(db: Executor, queue: string, ms: Milliseconds, reason: string): Promise<boolean> {
  const { rows } = await db.executeSql<{ fresh: boolean }>(holdSql, [queue, ms, kept(reason)]);
  return rows[0]?.fresh ?? false;
}
