// Groups of a queue as people see them: how much waits and is in flight, which are paused, and what may be done to one.

import type { Executor } from '../db/executor.ts';
import { momentOf, momentText, type Moment } from '../db/moment.ts';
import { timeText } from '../db/values.ts';
import { WaybillError } from '../errors.ts';
import { flowKeyRule, isFlowKey } from '../message/flow.ts';
import { endMessages, guard, transitions } from '../message/transitions.ts';
import { outboxChannel } from '../outbox/notify.ts';
import { inFlight, isPaused, waits } from '../outbox/waiting.ts';
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
};

/** Values: queue, group (null: all), limit. Largest first. */
export const groupsSql = `
  with waiting as (
    select coalesce(group_key, '') as name, count(*)::int as n, (count(*) filter (where available_at <= now()))::int as due,
           min(available_at) as oldest
      from waybill.outbox_messages where ${waits()} and queue = $1 and ($2::text is null or group_key = $2) group by 1),
  handed as (
    select coalesce(group_key, '') as name, count(*)::int as n
      from waybill.outbox_messages where ${inFlight()} and queue = $1 and ($2::text is null or group_key = $2) group by 1),
  paused as (
    select group_key as name, ${momentText('paused_at')} as since, ${momentText('paused_until')} as until, paused_by as by, paused_reason as reason
      from waybill.queue_groups where queue = $1 and ($2::text is null or group_key = $2) and ${isPaused()}),
  names as (select name from waiting union select name from handed union select name from paused)
  select names.name, coalesce(w.n, 0) as waiting, coalesce(w.due, 0) as due, coalesce(h.n, 0) as "inFlight", ${momentText('w.oldest')} as oldest,
         p.since, p.until, p.by, p.reason, (count(*) over ())::int as groups, (sum(coalesce(w.n, 0)) over ())::float8 as total
    from names left join waiting w using (name) left join handed h using (name) left join paused p using (name)
   order by (coalesce(w.n, 0) + coalesce(h.n, 0)) desc, names.name limit $3`;

type Row = Pick<GroupView, 'waiting' | 'due' | 'inFlight'> & {
  readonly name: string;
  /** Of all groups, beyond the limit too. */
  readonly groups: number;
  readonly total: number;
} & Readonly<Record<'oldest' | 'since' | 'until' | 'by' | 'reason', string | null>>;

function viewOf({ name, waiting, due, inFlight, oldest, since, until, by, reason }: Row): GroupView {
  const paused =
    since === null
      ? null
      : {
          since: momentOf(since),
          until: momentOf(until),
          by: by ?? '',
          reason: reason === null ? null : cleanError(reason),
        };
  return { group: name === '' ? null : name, waiting, due, inFlight, oldest: momentOf(oldest), paused };
}

export const mostGroups = 1_000;

export type Groups = {
  /** The largest first. */
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

async function showGroup(db: Executor, queue: string, group: string): Promise<GroupView> {
  const [row] = (await db.executeSql<Row>(groupsSql, [queue, group, 1])).rows;
  if (row) return viewOf(row);
  return { group, waiting: 0, due: 0, inFlight: 0, oldest: null, paused: null };
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

/** Values: queue, group. */
export const resumeGroupSql = `
  with resumed as (
    update waybill.queue_groups set paused_at = null, paused_by = null, paused_reason = null, paused_until = null
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
