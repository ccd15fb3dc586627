// Groups of a queue as people see them: how much waits and is in flight, which are closed, and what may be done to one.

import type { Executor } from '../db/executor.ts';
import { momentOf, momentText, type Moment } from '../db/moment.ts';
import { timeText } from '../db/values.ts';
import { WaybillError } from '../errors.ts';
import { flowKeyRule, isFlowKey } from '../message/flow.ts';
import { endMessages, guard, transitions } from '../message/transitions.ts';
import { outboxChannel } from '../outbox/notify.ts';
import { inFlight, isGroupMarked, isPaused, waits } from '../outbox/waiting.ts';
import { resumedColumns } from '../queues/circuit.ts';
import { checkKnown, type PauseEnd } from '../queues/queues.ts';
import { cleanError } from '../redaction/redact.ts';

export type GroupView = {
  /** Null: the messages without a group. */
  readonly group: string | null;
  readonly waiting: number;
  /** Those whose time has come. */
  readonly due: number;
  readonly inFlight: number;
  /** When the oldest waiting message became due, or becomes due. */
  readonly oldest: Moment | null;
  readonly paused: {
    readonly since: Moment;
    readonly until: Moment | null;
    readonly by: string;
    readonly reason: string | null;
  } | null;
  /** It failed for too long, and is closed until somebody resumes it. */
  readonly parked: { readonly since: Moment; readonly reason: string | null } | null;
  /** Deliveries fail since then, without a success between them. Closed until `heldUntil`, if that is to come. */
  readonly failing: {
    readonly since: Moment;
    readonly failures: number;
    readonly reason: string | null;
    readonly heldUntil: Moment | null;
  } | null;
};

/** Values: queue, group (null: all), limit. Paused and parked ones first, however small, then the largest. */
export const groupsSql = `
  with waiting as (
    select coalesce(group_key, '') as name, count(*)::int as n, (count(*) filter (where available_at <= now()))::int as due,
           min(available_at) as oldest
      from waybill.outbox_messages where ${waits()} and queue = $1 and ($2::text is null or group_key = $2) group by 1),
  handed as (
    select coalesce(group_key, '') as name, count(*)::int as n
      from waybill.outbox_messages where ${inFlight()} and queue = $1 and ($2::text is null or group_key = $2) group by 1),
  marked as (
    select group_key as name, case when ${isPaused()} then ${momentText('paused_at')} end as since, ${momentText('paused_until')} as until, paused_by as by,
           paused_reason as reason, ${momentText('parked_at')} as parked_at, parked_reason, ${momentText('failing_since')} as failing_since, failures,
           held_reason, case when held_until > now() then ${momentText('held_until')} end as held_until
      from waybill.queue_groups
     where queue = $1 and ($2::text is null or group_key = $2) and ${isGroupMarked}
       and (${isPaused()} or parked_at is not null or failing_since is not null)),
  names as (select name from waiting union select name from handed union select name from marked)
  select names.name, coalesce(w.n, 0) as waiting, coalesce(w.due, 0) as due, coalesce(h.n, 0) as "inFlight", ${momentText('w.oldest')} as oldest,
         p.since, p.until, p.by, p.reason, p.parked_at, p.parked_reason, p.failing_since, p.failures, p.held_reason, p.held_until, (count(*) over ())::int as groups, (sum(coalesce(w.n, 0)) over ())::float8 as total
    from names left join waiting w using (name) left join handed h using (name) left join marked p using (name)
   order by (p.since is null and p.parked_at is null), (coalesce(w.n, 0) + coalesce(h.n, 0)) desc, names.name limit $3`;

type Row = Pick<GroupView, 'waiting' | 'due' | 'inFlight'> & {
  readonly name: string;
  /** Of all groups, beyond the limit too. */
  readonly groups: number;
  readonly total: number;
  readonly failures: number | null;
} & Readonly<Record<'oldest' | 'since' | 'until' | 'by' | 'reason', string | null>> &
  Readonly<
    Record<'parked_at' | 'parked_reason' | 'failing_since' | 'held_reason' | 'held_until', string | null>
  >;

const shown = (reason: string | null): string | null => (reason === null ? null : cleanError(reason));

function viewOf(row: Row): GroupView {
  const { name, waiting, due, inFlight, oldest, since, until, by, reason } = row;
  const paused =
    since === null
      ? null
      : {
          since: momentOf(since),
          until: momentOf(until),
          by: by ?? '',
          reason: shown(reason),
        };
  const { parked_at: parkedAt, parked_reason: why, failing_since: failingSince } = row;
  const parked = parkedAt === null ? null : { since: momentOf(parkedAt), reason: shown(why) };
  const failing =
    failingSince === null
      ? null
      : {
          since: momentOf(failingSince),
          failures: row.failures ?? 0,
          reason: shown(row.held_reason),
          heldUntil: momentOf(row.held_until),
        };
  const group = name === '' ? null : name;
  return { group, waiting, due, inFlight, oldest: momentOf(oldest), paused, parked, failing };
}

export type GroupState = {
  /** With several causes, the first of these. `failing`: one message at a time, until one is delivered. */
  readonly state: 'paused' | 'parked' | 'held' | 'failing' | 'open';
  readonly since: Moment | null;
  readonly until: Moment | null;
  readonly by: string | null;
  readonly reason: string | null;
};

export function stateOf({ paused, parked, failing }: GroupView): GroupState {
  if (paused) return { state: 'paused', ...paused };
  if (parked) return { state: 'parked', ...parked, until: null, by: null };
  if (!failing) return { state: 'open', since: null, until: null, by: null, reason: null };
  const { since, reason, heldUntil: until } = failing;
  return { state: until === null ? 'failing' : 'held', since, until, by: null, reason };
}

export const mostGroups = 1_000;

export type Groups = {
  /** Paused and parked ones first, then the largest. */
  readonly groups: readonly GroupView[];
  /** What the limit left out: groups, and the messages that wait in them. */
  readonly rest: { readonly groups: number; readonly waiting: number };
};

/**
 * The groups of a queue.
 * @param limit 1 … 1,000
 * @throws WaybillError `unknown_queue`
 */
export async function listGroups(db: Executor, queue: string, limit = 100): Promise<Groups> {
  await checkKnown(db, queue);
  const { rows } = await db.executeSql<Row>(groupsSql, [queue, null, limit]);
  const groups = rows.map(viewOf);
  const { groups: all = 0, total = 0 } = rows[0] ?? {};
  const shown = groups.reduce((sum, { waiting }) => sum + waiting, 0);
  return { groups, rest: { groups: all - groups.length, waiting: total - shown } };
}

/** One group, also one without messages. */
export async function showGroup(db: Executor, queue: string, group: string): Promise<GroupView> {
  const [row] = (await db.executeSql<Row>(groupsSql, [queue, group, 1])).rows;
  if (row) return viewOf(row);
  return { group, waiting: 0, due: 0, inFlight: 0, oldest: null, paused: null, parked: null, failing: null };
}

/** Values: queue, group, operator, reason, end (or null), ms until the end (or null). No row: the end has passed. */
export const pauseGroupSql = `
  insert into waybill.queue_groups as g (queue, group_key, paused_at, paused_by, paused_reason, paused_until)
  select $1, $2, now(), $3, $4, e.at from (select coalesce($5::text::timestamptz, now() + ($6::float8 * interval '1 millisecond')) as at) e
   where e.at is null or e.at > now()
  on conflict (queue, group_key) do update
     set paused_at = case when ${isPaused('g.')} then g.paused_at else now() end, paused_by = excluded.paused_by,
         paused_reason = excluded.paused_reason, paused_until = excluded.paused_until
  returning group_key`;

/** Ends a pause, a parking and a hold, with a NOTIFY to workers. Values: queue, group. */
export const resumeGroupSql = `
  with resumed as (
    update waybill.queue_groups set ${resumedColumns}
     where queue = $1 and group_key = $2 returning queue)
  select pg_notify('${outboxChannel}', queue) from resumed`;

/**
 * Pauses one group of a queue, also one that has no messages yet.
 * @throws WaybillError `unknown_queue`, `group_invalid`, `invalid_pause`
 */
export async function pauseGroup(
  db: Executor,
  queue: string,
  group: string,
  { by, reason, until, forMs }: { readonly by: string; readonly reason: string | null } & PauseEnd,
): Promise<GroupView> {
  checkGroup(group);
  await checkKnown(db, queue);
  const { rows } = await db.executeSql(pauseGroupSql, [
    queue,
    group,
    by,
    reason,
    timeText(until),
    forMs ?? null,
  ]);
  if (rows.length === 0)
    throw new WaybillError(
      'invalid_pause',
      `a pause until ${until?.toISOString()} would have ended already: give a time to come`,
    );
  return showGroup(db, queue, group);
}

/** @throws WaybillError `unknown_queue`, `group_invalid` */
export async function resumeGroup(db: Executor, queue: string, group: string): Promise<GroupView> {
  checkGroup(group);
  await checkKnown(db, queue);
  await db.executeSql(resumeGroupSql, [queue, group]);
  return showGroup(db, queue, group);
}

export type GroupCancelled = { readonly matched: number; readonly cancelled: number };

/** Values: queue, group, limit. */
export const cancelGroupSql = `
  with chosen as (
    select id from waybill.outbox_messages where ${waits()} and queue = $1 and group_key = $2 limit $3 for update skip locked),
  ${endMessages(transitions.cancel.set(), `where m.id = any(array(select id from chosen)) and ${guard('cancel', 'm.status')}`, `'cancelled'`)}
  select count(*)::int as n from ended`;

const batch = 1_000;

/**
 * Cancels the waiting messages of a group, a batch at a time. What is in flight ends.
 * @param dryRun only counts
 * @throws WaybillError `unknown_queue`, `group_invalid`
 */
export async function cancelGroup(
  db: Executor,
  queue: string,
  group: string,
  {
    dryRun = false,
    progress,
  }: { readonly dryRun?: boolean; readonly progress?: (cancelled: number) => void } = {},
): Promise<GroupCancelled> {
  checkGroup(group);
  await checkKnown(db, queue);
  const { waiting: matched } = await showGroup(db, queue, group);
  let cancelled = 0;
  for (let more = !dryRun; more;) {
    const { n = 0 } =
      (await db.executeSql<{ n: number }>(cancelGroupSql, [queue, group, batch])).rows[0] ?? {};
    cancelled += n;
    progress?.(cancelled);
    more = n === batch;
  }
  return { matched, cancelled };
}

function checkGroup(group: string): void {
  if (!isFlowKey(group)) throw new WaybillError('group_invalid', `a group has ${flowKeyRule}`);
}
