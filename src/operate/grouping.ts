// Messages grouped by what they have in common: failures by error, name or cause, and recorded messages by tag or group.

import type { Executor } from '../db/executor.ts';
import { momentOf, momentText, type Moment } from '../db/moment.ts';
import { cleanError } from '../redaction/redact.ts';
import { defaultPageSize, firstIdAt, whereOf, type MessageFilter } from './filter.ts';
import { knownWord, single, type Texts } from './texts.ts';

export const groupings = ['error', 'name', 'cause', 'tag', 'group'] as const;
export type Grouping = (typeof groupings)[number];

export const windows = ['1h', '24h', '7d'] as const;
export type Window = (typeof windows)[number];

/** The length of each window in milliseconds. */
export const windowMs: Readonly<Record<Window, number>> = {
  '1h': 3_600_000,
  '24h': 86_400_000,
  '7d': 604_800_000,
};

/** Messages, and failed attempts, that are read at most: the newest of the window. */
export const mostRead = 20_000;
/** Errors before they are normalised, tags or groups that are read at most: those with the most messages. */
const mostRaw = 20_000;
const samples = 3;

export type MessageGroup = {
  /** The normalised error, the name, the cause, the tag or the group. Null: a failure without a cause, which is retried or was ended by hand. */
  readonly key: string | null;
  readonly count: number;
  readonly firstSeen: Moment;
  readonly lastSeen: Moment;
  /** The ids of the newest messages, 3 at most. */
  readonly sampleIds: readonly string[];
};

export type Grouped = {
  readonly by: Grouping;
  readonly window: Window;
  readonly since: Date;
  /** Most messages first. */
  readonly groups: readonly MessageGroup[];
  /** What the limit left out. */
  readonly rest: { readonly groups: number; readonly count: number };
  /** `reached`: more messages are in the window, which were not read. */
  readonly bound: { readonly messages: number; readonly reached: boolean };
};

/** @throws WaybillError `invalid_by`, `invalid_window`, `invalid_filter` */
export function readGrouping(by: Texts, window: Texts): { readonly by: Grouping; readonly window: Window } {
  return {
    by: knownWord('by', groupings, single('by', by) ?? '', 'grouping'),
    window: readWindow(window),
  };
}

/** @throws WaybillError `invalid_window` */
export function readWindow(window: Texts): Window {
  return knownWord('window', windows, single('window', window) ?? '24h');
}

/** Failures in the window: dead messages, and messages with a failed attempt. Values: since. */
export const failures = `
  died as materialized (
    select id, dead_at as at from waybill.outbox_messages where dead_at is not null and dead_at >= $1 order by dead_at desc limit ${mostRead}),
  tried as materialized (
    select message_id, finished_at from (
      select message_id, finished_at, outcome from waybill.outbox_attempts order by id desc limit ${mostRead}) a
     where finished_at >= $1 and outcome in ('retried', 'ambiguous', 'expired')),
  seen as (
    select id, max(at) as at from (select id, at from died union all select message_id, finished_at from tried) s group by id),
  read as (select (select count(*) from died) >= ${mostRead} or (select count(*) from tried) >= ${mostRead} as reached)`;

const recorded = `
  seen as materialized (
    select id, created_at as at from waybill.outbox_messages
     where id >= $2::uuid and created_at >= $1 order by id desc limit ${mostRead}),
  read as (select count(*) >= ${mostRead} as reached from seen)`;

/** Errors that differ only in digits are one before they are normalised. */
export const rawError = `translate(left(coalesce(last_error, ''), 600), '0123456789', '##########')`;

const keys: Readonly<Record<Grouping, string>> = {
  error: rawError,
  name: 'name',
  cause: 'dead_cause',
  tag: 'unnest(tags)',
  group: 'group_key',
};

type Raw = {
  readonly key: string | null;
  readonly n: number;
  readonly first: string;
  readonly last: string;
  readonly ids: string[];
  readonly all: number;
  readonly reached: boolean;
};

function sqlOf(by: Grouping, conditions: readonly string[]): string {
  const isFailure = by === 'error' || by === 'name' || by === 'cause';
  const needed = isFailure ? [] : [by === 'tag' ? 'tags is not null' : 'group_key is not null'];
  const where = [...conditions, ...needed].map((condition) => ` and ${condition}`).join('');
  return `
  with ${isFailure ? failures : recorded},
  keyed as (
    select m.id, s.at, ${keys[by]} as key from seen s join (select * from waybill.outbox_messages where true${where}) m on m.id = s.id)
  select key, count(*)::int as n, ${momentText('min(at)')} as first, ${momentText('max(at)')} as last,
         ((array_agg(id::text order by at desc))[1:${samples}]) as ids, (sum(count(*)) over ())::int as all, (select reached from read) as reached
    from keyed group by key order by n desc, key limit ${mostRaw}`;
}

/**
 * Groups of failures (by error, name or cause; dead and failed messages, if the filter names no status), or of recorded messages (by tag or group).
 * Of the window it reads the newest 20,000: 100,000 would take three seconds.
 */
export async function groupMessages(
  db: Executor,
  { by, window }: { readonly by: Grouping; readonly window: Window },
  filter: MessageFilter,
  limit = defaultPageSize,
): Promise<Grouped> {
  const since = new Date(Date.now() - windowMs[window]);
  const isFailure = by === 'error' || by === 'name' || by === 'cause';
  const which: MessageFilter =
    isFailure && !filter.status ? { ...filter, status: ['dead', 'failed'] } : filter;
  const values: unknown[] = isFailure ? [since] : [since, firstIdAt(since.getTime() - 86_400_000)];
  const { conditions } = whereOf(which, values);
  const { rows } = await db.executeSql<Raw>(sqlOf(by, conditions), values);
  const groups = merged(
    by === 'error' ? rows.map((row) => ({ ...row, key: errorKey(row.key ?? '') })) : rows,
  );
  const shown = groups.slice(0, limit);
  const count = (all: readonly MessageGroup[]): number => all.reduce((sum, group) => sum + group.count, 0);
  return {
    by,
    window,
    since,
    groups: shown,
    rest: { groups: groups.length - shown.length, count: (rows[0]?.all ?? 0) - count(shown) },
    bound: { messages: mostRead, reached: rows[0]?.reached ?? false },
  };
}

function merged(rows: readonly Raw[]): MessageGroup[] {
  const byKey = new Map<string | null, Raw>();
  for (const row of rows) {
    const other = byKey.get(row.key);
    byKey.set(row.key, other === undefined ? row : joined(other, row));
  }
  return [...byKey.values()]
    .toSorted((a, b) => b.n - a.n)
    .map(({ key, n, first, last, ids }) => ({
      key,
      count: n,
      firstSeen: momentOf(first),
      lastSeen: momentOf(last),
      sampleIds: ids,
    }));
}

function joined(a: Raw, b: Raw): Raw {
  const time = ({ last }: Raw): number => Date.parse(last) || 0;
  const [newer, older] = time(a) >= time(b) ? [a, b] : [b, a];
  const first = (Date.parse(a.first) || 0) <= (Date.parse(b.first) || 0) ? a.first : b.first;
  const ids = [...newer.ids, ...older.ids].slice(0, samples);
  return { ...newer, n: a.n + b.n, first, ids };
}

const longestKey = 300;

/** Errors that differ only in numbers, ids, quoted texts or addresses have the same key. */
export function errorKey(error: string): string {
  return cleanError(error)
    .slice(0, longestKey)
    .replaceAll(/(["'`])(?:(?!\1).){0,200}\1/g, '$1…$1')
    .replaceAll(/[^\s<>"'(),;:]+@/g, '…@')
    .replaceAll(/(?<![\p{L}\p{N}])[0-9a-f#-]*[0-9#][0-9a-f#-]*(?![\p{L}\p{N}])/giu, '#')
    .replaceAll(/[0-9#]+/g, '#')
    .replaceAll(/\s+/g, ' ')
    .trim();
}
