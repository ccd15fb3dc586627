// Failures in groups of the same normalised error, name and cause: how many, since when, in which versions, their course over the time, and whether a
// person has muted them.

import { createHash } from 'node:crypto';
import type { Executor } from '../db/executor.ts';
import { momentOf, momentText, type Moment } from '../db/moment.ts';
import type { Kind } from '../message/message.ts';
import type { DeadCause } from '../message/outcome.ts';
import { defaultPageSize, whereOf, type MessageFilter } from './filter.ts';
import { errorKey, failures, mostRead, rawError, windowMs, type Window } from './grouping.ts';
import { isMutedIn, readMutes, type MuteView } from './mute.ts';

/** Bars of a group: each is a thirtieth of the window. */
export const mostBars = 30;
/** Rows of the statement: a raw error, a name, a cause and a bar each. */
const mostRows = 20_000;
const samples = 3;
/** Newest messages of a group whose workers' versions are looked up. */
const mostVersioned = 10;

export type FailureGroup = {
  /** 12 hex digits made of error, name and cause: it names the group when it is muted. */
  readonly key: string;
  /** Normalised: `order # not found`. Empty: without an error. */
  readonly error: string;
  readonly name: string;
  readonly kind: Kind;
  /** Null: it is retried, or was ended by hand. */
  readonly cause: DeadCause | null;
  readonly count: number;
  /** Of them, those that are dead. */
  readonly dead: number;
  readonly firstSeen: Moment;
  readonly lastSeen: Moment;
  /** Failures in each thirtieth of the window, the oldest first. */
  readonly bars: readonly number[];
  /** The ids of the newest messages, 3 at most. */
  readonly sampleIds: readonly string[];
  /** Of the workers that tried the newest 10, as far as their processes are still known. */
  readonly versions: readonly string[];
  /** The longest part of the errors that is the same in all of them, for the filter `errorContains`. Null: there is none. */
  readonly errorContains: string | null;
  /** Null: nobody has muted it. */
  readonly muted: MuteView | null;
  /** It is muted, and has not grown to more than twice since. */
  readonly isMuted: boolean;
};

export type Failures = {
  readonly window: Window;
  readonly since: Date;
  /** Most messages first. */
  readonly groups: readonly FailureGroup[];
  /** What the limit left out. */
  readonly rest: { readonly groups: number; readonly count: number };
  /** `reached`: more messages are in the window, which were not read. */
  readonly bound: { readonly messages: number; readonly reached: boolean };
};

type Row = {
  readonly error: string;
  readonly name: string;
  readonly kind: Kind;
  readonly cause: DeadCause | null;
  readonly bar: number;
  readonly n: number;
  readonly dead: number;
  readonly first: string;
  readonly last: string;
  readonly ids: string[];
  readonly reached: boolean;
};

/** Values: since, milliseconds of a bar, and those of the conditions. */
export const failuresSql = (conditions: readonly string[]): string => `
  with ${failures},
  keyed as (
    select m.id, s.at, ${rawError} as error, m.name, m.kind, m.status, m.dead_cause as cause,
           least(${mostBars - 1}, greatest(0, floor(extract(epoch from s.at - $1::timestamptz) * 1000 / $2::float8)))::int as bar
      from seen s join (select * from waybill.outbox_messages where ${conditions.join(' and ') || 'true'}) m on m.id = s.id)
  select error, name, kind, cause, bar, count(*)::int as n, count(*) filter (where status = 'dead')::int as dead,
         ${momentText('min(at)')} as first, ${momentText('max(at)')} as last, ((array_agg(id::text order by at desc))[1:${mostVersioned}]) as ids,
         (select reached from read) as reached
    from keyed group by error, name, kind, cause, bar order by n desc limit ${mostRows}`;

/**
 * Dead messages, and messages with a failed attempt, in the window; of them the newest 20,000.
 * @param filter without a status: dead and failed messages
 */
export async function groupFailures(
  db: Executor,
  window: Window,
  filter: MessageFilter = {},
  limit = defaultPageSize,
): Promise<Failures> {
  const { since, groups, reached } = await readGroups(db, window, filter);
  const shown = groups.slice(0, limit);
  const versions = await versionsOf(db, shown);
  const mutes = new Map((await readMutes(db)).map((mute) => [mute.key, mute]));
  const count = (all: readonly Gathered[]): number => all.reduce((sum, group) => sum + group.count, 0);
  return {
    window,
    since,
    groups: shown.map(({ ids, first, last, raw, ...group }) => {
      const muted = mutes.get(group.key) ?? null;
      return {
        ...group,
        firstSeen: momentOf(first),
        lastSeen: momentOf(last),
        sampleIds: ids.slice(0, samples),
        versions: [...new Set(ids.flatMap((id) => versions.get(id) ?? []))].toSorted(),
        errorContains: commonPart(group.error, raw),
        muted,
        isMuted: muted !== null && isMutedIn(muted, window, group.count),
      };
    }),
    rest: { groups: groups.length - shown.length, count: count(groups) - count(shown) },
    bound: { messages: mostRead, reached },
  };
}

/** How many failures of the window have this key. */
export async function countFailures(db: Executor, window: Window, key: string): Promise<number> {
  const { groups } = await readGroups(db, window, {});
  return groups.find((group) => group.key === key)?.count ?? 0;
}

async function readGroups(
  db: Executor,
  window: Window,
  filter: MessageFilter,
): Promise<{ readonly since: Date; readonly groups: readonly Gathered[]; readonly reached: boolean }> {
  const since = new Date(Date.now() - windowMs[window]);
  const which: MessageFilter = filter.status ? filter : { ...filter, status: ['dead', 'failed'] };
  const { conditions, values } = whereOf(which, [since, windowMs[window] / mostBars]);
  const { rows } = await db.executeSql<Row>(failuresSql(conditions), values);
  return { since, groups: gathered(rows), reached: rows[0]?.reached ?? false };
}

type Gathered = Pick<FailureGroup, 'key' | 'error' | 'name' | 'kind' | 'cause' | 'count' | 'dead'> & {
  readonly bars: number[];
  readonly first: string;
  readonly last: string;
  readonly ids: readonly string[];
  /** One of the errors, with its digits replaced. */
  readonly raw: string;
};

const timeOf = (text: string): number => Date.parse(text) || 0;

function gathered(rows: readonly Row[]): Gathered[] {
  const byKey = new Map<string, Gathered>();
  for (const row of rows) {
    const error = errorKey(row.error);
    const key = keyOf({ error, name: row.name, cause: row.cause });
    const group = byKey.get(key);
    byKey.set(key, group ? joined(group, row) : begun(key, error, row));
  }
  return [...byKey.values()].toSorted((a, b) => b.count - a.count || timeOf(b.last) - timeOf(a.last));
}

function begun(key: string, error: string, row: Row): Gathered {
  const { name, kind, cause, n, dead, first, last, ids } = row;
  const bars = Array.from({ length: mostBars }, (_, i) => (i === row.bar ? n : 0));
  return { key, error, name, kind, cause, count: n, dead, bars, first, last, ids, raw: row.error };
}

function joined(group: Gathered, row: Row): Gathered {
  const isNewer = timeOf(row.last) > timeOf(group.last);
  const ids = isNewer ? [...row.ids, ...group.ids] : [...group.ids, ...row.ids];
  group.bars[row.bar]! += row.n;
  return {
    ...group,
    count: group.count + row.n,
    dead: group.dead + row.dead,
    first: timeOf(row.first) < timeOf(group.first) ? row.first : group.first,
    last: isNewer ? row.last : group.last,
    ids: ids.slice(0, mostVersioned),
  };
}

/** 12 hex digits: the same error, name and cause have the same. */
function keyOf({ error, name, cause }: Pick<FailureGroup, 'error' | 'name' | 'cause'>): string {
  return createHash('sha256')
    .update(JSON.stringify([error, name, cause]))
    .digest('hex')
    .slice(0, 12);
}

/** Values: ids of messages. */
export const versionsSql = `
  select a.message_id::text as id, coalesce(p.application, p.version) as version
    from waybill.outbox_attempts a join waybill.processes p on p.id = a.worker where a.message_id = any($1::uuid[]) group by 1, 2`;

async function versionsOf(db: Executor, groups: readonly Gathered[]): Promise<Map<string, string[]>> {
  const ids = groups.flatMap((group) => group.ids);
  const { rows } = await db.executeSql<{ id: string; version: string }>(versionsSql, [ids]);
  const versions = new Map<string, string[]>();
  for (const { id, version } of rows) versions.set(id, [...(versions.get(id) ?? []), version]);
  return versions;
}

/** Shorter parts would match too much. */
const shortestPart = 4;

/** The longest part between placeholders that stands in the error itself: its redaction may have changed others. */
function commonPart(error: string, raw: string): string | null {
  const parts = error
    .split(/[#…"'`\\]+/)
    .map((part) => part.trim())
    .filter((part) => part.length >= shortestPart && raw.includes(part));
  return parts.toSorted((a, b) => b.length - a.length)[0] ?? null;
}
