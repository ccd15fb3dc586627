// The search for messages among millions: filters that few messages pass are looked up in their indexes first, and filters without an index read a
// bounded number of messages.

import type { Executor } from '../db/executor.ts';
import { given } from './contents.ts';
import { isOfState, whereOf, type MessageFilter } from './filter.ts';

/** Filters without an index that few messages pass: they are expected to read as far as they may. */
const slow = ['group', 'orderKey', 'requestId', 'traceId', 'parentId', 'payload'] as const;
/** Filters without an index that many messages pass, so that a page is full soon. Among messages of a state that has an index, they read all of these. */
const plain = ['kind', 'name', 'queue', 'availableSince', 'availableUntil', 'errorContains'] as const;

/** Filters without an index look at this many of the messages that the other filters leave, the first in the order of the list … */
const mostSlow = 100_000;
/** … and those of `plain` alone at this many, which takes an eighth of a second. */
const mostPlain = 250_000;

/** Up to this many ids are looked up in an index. A tag that more messages have is met soon on the way through the list. */
const mostFound = 10_000;

export type Direction = 'asc' | 'desc';
export type After = { readonly id: string | undefined; readonly direction: Direction };

export type Search = {
  /** Conditions whose cost an index bounds. */
  readonly conditions: string[];
  /** Conditions for at most `most` messages. */
  readonly bounded: string[];
  readonly most: number;
  readonly values: unknown[];
  /** Names of the filters of `bounded`. */
  readonly names: string[];
  /** Whether the answer always says how far the search went; otherwise only if it reached its bound. */
  readonly isSlow: boolean;
};

type Lookup = { readonly name: string; readonly values: readonly unknown[] };

/**
 * Decides how to read the messages of the filter. It reads an index for each of `to`, `tag`, `keyPrefix` and `deliveryKey`.
 * @param after only messages behind this one in the direction
 */
export async function searchOf(db: Executor, filter: MessageFilter, after?: After): Promise<Search> {
  const few: Lookup[] = [];
  for (const lookup of lookups(filter)) if (await hasFew(db, lookup)) few.push(lookup);
  const values: unknown[] = [];
  const found = few.map(({ name, values: its }) => {
    const parameters = its.map((value) => `$${values.push(value)}`).join(', ');
    return `id = any(array(select waybill.${name}(${parameters}, ${mostFound})))`;
  });
  const [quick, rest] = few.length > 0 ? [filter, {}] : split(filter);
  const behind = (): string[] => {
    if (after?.id === undefined) return [];
    return [`id ${after.direction === 'asc' ? '>' : '<'} $${values.push(after.id)}::uuid`];
  };
  const { errorContains, ...others } = quick;
  if (errorContains !== undefined) {
    const { conditions } = whereOf({ errorContains, status: filter.status }, values);
    found.push(`id = any(array(select id from waybill.outbox_messages ${whereText([...conditions, ...behind()])}
      order by id ${after?.direction ?? 'desc'} limit ${mostSlow}))`);
  }
  const conditions = [...whereOf(others, values).conditions, ...behind()];
  const bounded = whereOf(rest, values).conditions;
  const names = [...slow, ...plain].filter((name) => rest[name] !== undefined);
  const isSlow = slow.some((name) => rest[name] !== undefined);
  const most = isSlow ? mostSlow : mostPlain;
  return { conditions: [...found, ...conditions], bounded, most, values, names, isSlow };
}

/** The greatest character: no text that begins with a key's beginning sorts behind it. */
const last = '\u{10ffff}';

function lookups({ to, tag, keyPrefix, deliveryKey }: MessageFilter): Lookup[] {
  const all: Lookup[] = [];
  if (given(to)) all.push({ name: 'search_recipients', values: [to] });
  if (given(tag)) all.push({ name: 'search_tags', values: [tag] });
  if (keyPrefix !== undefined) all.push({ name: 'search_keys', values: [keyPrefix, keyPrefix + last] });
  if (deliveryKey?.length === 1)
    all.push({ name: 'search_keys', values: [deliveryKey[0], `${deliveryKey[0]}\u0001`] });
  return all;
}

async function hasFew(db: Executor, { name, values }: Lookup): Promise<boolean> {
  const parameters = values.map((_, i) => `$${i + 1}`).join(', ');
  const sql = `select count(*)::int as n from waybill.${name}(${parameters}, ${mostFound + 1})`;
  const { rows } = await db.executeSql<{ n: number }>(sql, [...values]);
  return (rows[0]?.n ?? 0) <= mostFound;
}

function split(filter: MessageFilter): [quick: MessageFilter, rest: Partial<MessageFilter>] {
  const bounded: readonly string[] = isOfState(filter) || given(filter.outcome) ? slow : [...slow, ...plain];
  const isBounded = (name: string): boolean => bounded.includes(name);
  const entries = Object.entries(filter).filter(([, value]) => !Array.isArray(value) || value.length > 0);
  return [
    Object.fromEntries(entries.filter(([name]) => !isBounded(name))),
    Object.fromEntries(entries.filter(([name, value]) => isBounded(name) && value !== undefined)),
  ];
}

/** How far a search went whose filters have no index. */
export type Bound = {
  readonly filters: readonly string[];
  /** It looked at this many messages at most. */
  readonly messages: number;
  /** There are more messages that it did not look at. */
  readonly reached: boolean;
};

/** The rows to read: of a bounded search the first `most` in this order. */
export function fromOf({ conditions, bounded, most }: Search, direction: Direction): string {
  const where = whereText(conditions);
  if (bounded.length === 0) return `waybill.outbox_messages m ${where}`;
  return `(select * from waybill.outbox_messages ${where} order by id ${direction} limit ${most}) m ${whereText(bounded)}`;
}

/** What the answer says of the bound. */
export function boundOf(search: Search, reached: boolean): Bound | undefined {
  const { bounded, names, most, isSlow } = search;
  if (bounded.length === 0 || !(isSlow || reached)) return undefined;
  return { filters: names, messages: most, reached };
}

/** The id of the last message that a bounded search looks at; null: it looks at all. */
export async function lastRead(
  db: Executor,
  { conditions, most, values }: Search,
  direction: Direction,
): Promise<string | null> {
  const used = values.slice(0, highest(conditions));
  const sql = `select id from waybill.outbox_messages ${whereText(conditions)} order by id ${direction} offset ${most - 1} limit 1`;
  return (await db.executeSql<{ id: string }>(sql, used)).rows[0]?.id ?? null;
}

const whereText = (conditions: readonly string[]): string =>
  conditions.length > 0 ? `where ${conditions.join(' and ')}` : '';

/** The greatest number of a parameter in the conditions. */
const highest = (conditions: readonly string[]): number =>
  Math.max(0, ...conditions.flatMap((text) => [...text.matchAll(/\$(\d+)/g)].map(([, n]) => Number(n))));
