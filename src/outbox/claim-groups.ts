// The claim of a queue's messages at a priority where groups wait: one message of each group in turn, then a second one of each, and so on. The
// messages without a group take their turn as one group. Groups follow one another in the order of their names, and each claim goes on behind
// the last group of the one before: a group with 100,000 messages delays another's by one round, not by its backlog.
//
// Due messages are read first, in the order of their due times. If there are few, their groups are all that take turns. Otherwise a sweep steps from
// group to group through the index (a loose scan), so its cost depends on the number of messages wanted, not on that of groups or messages. Of
// more groups than that, those of the due messages read first take turns behind the swept ones, so that groups whose messages are all for later
// do not delay them. Closed groups are stepped over and count for nothing: however many there are, a claim finds the open ones. A claim that finds
// nothing, because closed groups have the due messages read first and the groups that it reached have later ones, says where the next one goes on.

import type { Executor } from '../db/executor.ts';
import { flagOf, textOrNull } from '../db/values.ts';
import { among, claimOf, listsOf, room, wanted, type Lease, type Only } from './claim.ts';
import { claimedOf, claimedTexts, type Claimed, type ClaimedRow } from './claimed.ts';
import {
  grouped,
  isDue,
  isGroupClosed,
  isGroupMarked,
  isOpenAlone,
  ungrouped,
  waiting,
  waits,
  type Place,
} from './waiting.ts';

const m = 'waybill.outbox_messages';

/** Steps of the sweep: at least this many, so that small claims make progress among groups without due messages. */
const leastSteps = 16;
const steps = `greatest($1::int, ${leastSteps})`;

/** Due messages that are read first; as many of them are too many for a claim without a sweep. */
const peeked = `(2 * ${steps})`;

const step = (condition: string): string => `
      select group_key, available_at <= now() as due from ${m}
       where ${waits()} and ${grouped.where()} and queue = $2 and priority = $3 and group_key ${condition}
       order by group_key, available_at limit 1`;

/** Groups that are closed, and those that fail: one message of these is in flight at a time. */
const marked = `
  marked as materialized (
    select group_key as name, ${isGroupClosed()} as closed, failing_since is not null as failing
      from waybill.queue_groups where queue = $2 and ${isGroupMarked}),
  closed as materialized (select coalesce(array_agg(name), '{}') as names from marked where closed)`;

const isClosed = (group: string): string => `${group} = any((select names from closed)::text[])`;
const stepped = `f.group_key, f.due and not ${isClosed('f.group_key')} as due, case when ${isClosed('f.group_key')} then 0 else 1 end`;

const walk = (name: string, from: string, until: string, room: string): string => `
  ${name} as (
    select ${stepped} as n from (${step(from + until)}) f where ${room} > 0 and (select many from amount)
    union all
    select ${stepped} + w.n from ${name} w cross join lateral (${step(`> w.group_key${until}`)}) f
     where w.n < ${room})`;

const allowed = `
  allowed as (
    select c.*, least(
        room.each - coalesce(room.taken[array_position(room.groups, c.name)], 0),
        case when exists (select from marked f where f.name = c.name and f.failing)
             then 1 - coalesce(room.taken[array_position(room.groups, c.name)], 0) end,
        case when p.next_at is null then room.burst when p.next_at > room.at then 0
             else least(room.burst, (1 + floor((extract(epoch from (room.at - p.next_at)) / extract(epoch from room.spacing))))) end) as most
      from (select *, coalesce(group_key, '') as name from candidate) c cross join room
      cross join lateral (select room.next[array_position(room.paced, c.name)] as next_at) p
     where not ${isClosed('c.name')})`;

/** More groups may have due messages than the sweep reached. */
const isPartial = `((select count(*) from sweep) >= ${steps} and (select many from amount))`;

/** Groups that the sweep reached before the end of the index. */
const reached = '(select coalesce(max(n), 0) from ahead)';

/** The share of each group: what it could bring if all of them had enough. */
const share = `(select greatest(1, ceil($1::numeric / greatest(1, count(*))))::int from allowed where most is null or most > 0)`;

const pick = (condition: string): string => `
      select ctid, row_number() over () as round from (
        select ctid from ${m}
         where ${waiting('', among('$8', '$9'))} and ${condition} and ${isOpenAlone('$2')} and queue = $2 and priority = $3 and available_at <= now()
         order by group_key, available_at limit ${share} for update skip locked) p`;

/**
 * Values: limit, queue, priority, lease in ms, worker, group after which to begin ('': at the first), the limits that the caller knows, kinds and
 * ids, each an array or null, whether a worker claims.
 */
export const claimGroupsSql = `
  with recursive ${room},${marked},
  early as materialized (
    select group_key from ${m}
     where ${waiting()} and ${grouped.where()} and queue = $2 and priority = $3 and available_at <= now()
     order by ${grouped.order()} limit ${peeked}),
  amount as materialized (select count(*) >= ${peeked} as many from early),
  ${walk('ahead', '> $6', '', steps)},
  ${walk('behind', `> ''`, ' and group_key <= $6', `(${steps} - ${reached})`)},
  sweep as (
    select group_key, due, n as place from ahead where not ${isClosed('group_key')}
    union all
    select null, ${isDue('$2', '$3', ungrouped)}, ${peeked} where ${reached} < ${steps}
    union all
    select group_key, due, ${peeked} + n from behind where not ${isClosed('group_key')}
    union all
    select group_key, true, row_number() over (order by group_key) + case when group_key <= $6 then ${peeked} else 0 end
      from early where not (select many from amount) group by group_key),
  candidate as (
    select group_key, place, true as swept from sweep where due
    union all
    select distinct group_key, null::int8, false from early
     where ${isPartial} and group_key <> all(array(select group_key from sweep where group_key is not null))),
  ${allowed},
  picked as materialized (
    select a.group_key, a.place, a.swept, p.ctid, p.round from allowed a
      cross join lateral (${pick('group_key = a.group_key')}) p
     where a.group_key is not null and coalesce(a.most, 1) > 0 and p.round <= coalesce(a.most, p.round)
    union all
    select null, a.place, true, p.ctid, p.round from allowed a
      cross join lateral (${pick(ungrouped.where())}) p
     where a.group_key is null and coalesce(a.most, 1) > 0 and p.round <= coalesce(a.most, p.round)),
  chosen as materialized (
    select *, row_number() over (order by round, swept desc, place) as turn from picked
     order by round, swept desc, place limit ${wanted('$1')}),
  next as (
    select case when count(*) filter (where swept) < $1 and ${isPartial} and coalesce((select room from room) > 0, true) then (select coalesce(group_key, '') from sweep order by place desc limit 1)
                else (select coalesce(group_key, '') from chosen order by turn desc limit 1) end as group_key from chosen),
  spent as (
    insert into waybill.queue_groups as g (queue, group_key, next_at)
    select $2, c.name, (greatest(coalesce(c.next_at, c.earliest), c.earliest) + (c.n * c.spacing))
      from (select coalesce(o.group_key, '') as name, count(*) as n, room.spacing, (room.at - ((room.burst - 1) * room.spacing)) as earliest,
                   room.next[array_position(room.paced, coalesce(o.group_key, ''))] as next_at
              from chosen o cross join room where room.spacing is not null group by 1, 3, 4, 5) c
    on conflict (queue, group_key) do update set next_at = excluded.next_at),
  claimed as (${claimOf(
    `case when $10::bool then false end`,
    '$4',
    '$5',
    `${claimedTexts}, (m.group_key = any(array(select name from marked where failing)))::text as failing`,
  )})
  select c.*, n.group_key as next, (${reached} < ${steps})::text as lap from next n left join claimed c on true`;

export type GroupsClaim = Place &
  Lease & {
    readonly limit: number;
    /** The group behind which the claim begins. Default: it begins at the first. */
    readonly after?: string | undefined;
    /** The limits of the queue that the caller knows, as their text in the database. */
    readonly known?: string | undefined;
    /** The claim is a worker's, whose messages all begin at once. */
    readonly isWorker?: boolean | undefined;
  };

export type GroupsClaimed = {
  readonly claimed: readonly Claimed[];
  /** Where the next claim begins. Undefined: nothing was found, and the sweep reached every group. */
  readonly next: string | undefined;
  /** The sweep went past the last group, and on from the first. */
  readonly isLap: boolean;
};

/** Without a claimed message: one row, whose other columns are null. */
type Row = ClaimedRow & { readonly next: unknown; readonly lap: unknown };

/** @param only restricts the claim; default: all */
export async function claimGroups(db: Executor, claim: GroupsClaim, only: Only = {}): Promise<GroupsClaimed> {
  const { limit, queue, priority, leaseMs, workerId, after = '', known = null, isWorker = false } = claim;
  const values = [limit, queue, priority, leaseMs, workerId, after, known, ...listsOf(only), isWorker];
  const { rows } = await db.executeSql<Row>(claimGroupsSql, values, db.isPlanned);
  const [first] = rows;
  return {
    claimed: first?.id === null ? [] : claimedOf(rows, { queue, priority }),
    next: textOrNull(first?.next) ?? undefined,
    isLap: first !== undefined && flagOf(first.lap),
  };
}
