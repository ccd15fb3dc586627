// The circuit of a group: a group whose deliveries fail is held for a growing time, so that what it lacks costs no slots; while it fails, one message
// of it is in flight at a time, and the first success opens it. A group that fails for days is parked until somebody resumes it. Messages of a held
// or parked group wait, and use no attempt.
//
// Nothing is written for a group that works: a claim says whether a group fails (ClaimedMessage.isGroupFailing).

import type { Executor } from '../db/executor.ts';
import type { NewMessage } from '../message/message.ts';
import { maxRetryAfter } from '../message/backoff.ts';
import { outboxChannel } from '../outbox/notify.ts';
import type { Milliseconds } from '../ports.ts';

/** The first failure of a group since its last success, and the number since then. */
export type Failing = { readonly since: Date; readonly failures: number };

export type GroupFailing = {
  readonly isOk: false;
  readonly isHung?: undefined;
  readonly reason: string;
  /** It took long: the group is held from its first failure on. */
  readonly isSlow: boolean;
  /** It is parked at once. */
  readonly isGone: boolean;
  /** It is held for as long as it asked. */
  readonly retryAfter: Milliseconds | undefined;
  /** It is parked when it has failed for this time. */
  readonly parkAfterMs: Milliseconds;
  /** The message that tells its owner, recorded with the parking. */
  readonly parked: (failing: Failing) => NewMessage | null;
};

/** What the application does before a delivery did not end: the group is held, because each attempt keeps a slot, but it is not at fault. */
export type GroupHung = { readonly isOk: false; readonly isHung: true; readonly reason: string };

/** What the end of a delivery says of the group of its message. */
export type GroupEnd = { readonly isOk: true } | GroupFailing | GroupHung;

/** After a slow failure: 15 s, doubled each time. After others: 5 s from the third in a row on, doubled. At most 10 minutes, a tenth more or less. */
const slowFirst: Milliseconds = 15_000;
const quickFirst: Milliseconds = 5_000;
const quickFree = 2;
const longest: Milliseconds = 600_000;
/** A group that failed longer ago is not known to have failed meanwhile. An endpoint that gets a webhook each month can still be parked. */
export const forgotten = `interval '32 days'`;
/** Fewer failures say too little, whatever their times. */
const enough = 5;

const jitter = `(0.9 + 0.2 * random())`;

/** `n`: failures in a row, with this one. */
const holdMs = `greatest(
    case when not counts then 0 when $5::bool then least(${longest}, ${slowFirst} * 2 ^ least(n - 1, 20))
         when n > ${quickFree} then least(${longest}, ${quickFirst} * 2 ^ least(n - ${quickFree} - 1, 20)) else 0 end
    * ${jitter}, $6::float8)`;

/**
 * Records a failure. Values: queue, group, message, reason, whether it was slow, ms of its Retry-After, ms after which the group is parked, whether it
 * is parked at once. An attempt that began before the last failure was recorded is not counted: several were in flight when the group broke. What it
 * asks for holds all the same.
 */
export const failGroupSql = `
  with known as (
    select g.failing_since, g.failures, g.failed_at from waybill.queue_groups g where g.queue = $1 and g.group_key = $2 for update),
  fresh as (
    select coalesce((select failed_at > (now() - ${forgotten}) from known), false) as goes_on,
           coalesce((select m.claimed_at > (select failed_at from known) from waybill.outbox_messages m where m.id = $3::uuid), true) as counts),
  next as (
    select case when goes_on then coalesce((select failing_since from known), now()) else now() end as since,
           case when goes_on then coalesce((select failures from known), 0) else 0 end + counts::int as n,
           counts, case when counts then now() else (select failed_at from known) end as failed_at
      from fresh where counts or $8::bool or $6::float8 > 0),
  failed as (
    insert into waybill.queue_groups as g (queue, group_key, failing_since, failed_at, failures, held_at, held_until, held_reason)
    select $1, $2, since, failed_at, n, now(), now() + (${holdMs} * interval '1 millisecond'), $4 from next
    on conflict (queue, group_key) do update
       set failing_since = excluded.failing_since, failed_at = excluded.failed_at, failures = excluded.failures, held_at = excluded.held_at,
           held_until = greatest(g.held_until, excluded.held_until), held_reason = excluded.held_reason
    returning g.failing_since, g.failures, g.parked_at, g.held_until)
  select failing_since as since, failures, extract(epoch from held_until - now())::float8 * 1000 as "heldMs",
         parked_at is null and ($8::bool or (failures >= ${enough} and failing_since <= now() - ($7::float8 * interval '1 millisecond'))) as "isToPark"
    from failed`;

export type Failed = Failing & {
  /** How long the group is held from now on. */
  readonly heldMs: Milliseconds;
  /** It has failed for long enough to be parked. */
  readonly isToPark: boolean;
};

type Of = { readonly queue: string; readonly group: string };
type OfMessage = Of & { readonly message: string };

const storable = (reason: string): string => reason.slice(0, 500).toWellFormed();

/** @returns undefined when the failure says nothing new */
export async function failGroup(
  db: Executor,
  { queue, group, message }: OfMessage,
  { reason, isSlow, isGone, retryAfter = 0, parkAfterMs }: GroupFailing,
): Promise<Failed | undefined> {
  const wait = Math.min(Math.max(retryAfter, 0), maxRetryAfter);
  const values = [queue, group, message, storable(reason), isSlow, wait, parkAfterMs, isGone];
  return (await db.executeSql<Failed>(failGroupSql, values)).rows[0];
}

/**
 * Holds a group whose delivery hung before its request, and counts no failure. Each such hold is twice as long as the last one. Values: queue, group,
 * message, reason. No row: the attempt began before the last hold.
 */
export const holdGroupSql = `
  insert into waybill.queue_groups as g (queue, group_key, failing_since, held_at, held_until, held_reason)
  values ($1, $2, now(), now(), now() + (${slowFirst} * ${jitter} * interval '1 millisecond'), $4)
  on conflict (queue, group_key) do update
     set failing_since = coalesce(g.failing_since, excluded.failing_since), held_at = excluded.held_at, held_reason = excluded.held_reason,
         held_until = greatest(g.held_until, excluded.held_until, now() + least(${longest} * interval '1 millisecond', 2 * (g.held_until - g.held_at)))
   where coalesce((select m.claimed_at > g.held_at from waybill.outbox_messages m where m.id = $3::uuid), true)
  returning extract(epoch from held_until - now())::float8 * 1000 as "heldMs"`;

/** @returns how long the group is held from now on; undefined: it was held before */
export async function holdGroup(
  db: Executor,
  { queue, group, message }: OfMessage,
  { reason }: GroupHung,
): Promise<Milliseconds | undefined> {
  const values = [queue, group, message, storable(reason)];
  return (await db.executeSql<{ heldMs: Milliseconds }>(holdGroupSql, values)).rows[0]?.heldMs;
}

/** Values: queue, group, reason. It returns a row if this call parked the group. */
export const parkGroupSql = `
  update waybill.queue_groups set parked_at = now(), parked_reason = $3
   where queue = $1 and group_key = $2 and parked_at is null returning group_key`;

/** @returns whether this call parked it */
export async function parkGroup(db: Executor, { queue, group }: Of, reason: string): Promise<boolean> {
  return (await db.executeSql(parkGroupSql, [queue, group, storable(reason)])).rows.length > 0;
}

const opened = `failing_since = null, failed_at = null, failures = 0, held_at = null, held_until = null, held_reason = null`;

/** After a success, with a NOTIFY to workers: the other messages of the group may go. A parked group stays parked. Values: queue, group. */
export const openGroupSql = `
  with opened as (
    update waybill.queue_groups set ${opened}
     where queue = $1 and group_key = $2 and failing_since is not null and parked_at is null returning queue)
  select pg_notify('${outboxChannel}', queue) from opened`;

/** @returns whether it had failed before */
export async function openGroup(db: Executor, { queue, group }: Of): Promise<boolean> {
  return (await db.executeSql(openGroupSql, [queue, group])).rows.length > 0;
}

const circuitOpened = `parked_at = null, parked_reason = null, ${opened}`;

/** What a person resumes: a pause, a parking and a hold end, and what failed before is forgotten. */
export const resumedColumns = `paused_at = null, paused_by = null, paused_reason = null, paused_until = null,
           ${circuitOpened}`;

/**
 * What the application resumes, in its transaction: a parking and a hold. A pause is of a person, whom the audit names, and stays (groups.ts). No row:
 * the group was neither parked nor failing. Values: queue, group.
 */
export const resumeOneSql = `
  with resumed as (
    update waybill.queue_groups set ${circuitOpened}
     where queue = $1 and group_key = $2 and (parked_at is not null or failing_since is not null) returning queue)
  select pg_notify('${outboxChannel}', queue) from resumed`;
