// The messages that hold a person's address: emails to it, which an index finds, and any message whose payload, keys, tags or error have it.

import type { Executor } from '../db/executor.ts';
import { guard, updateMessages } from '../message/transitions.ts';
import { eraseMessages } from './erase.ts';
import { findingOf, type Finding, type Needle } from './person-needle.ts';
import { samples } from './person-scan.ts';

/** Emails to one address are counted up to this many. */
export const mostCounted = 100_000;
/** Messages that one transaction erases. */
const batchSize = 200;

export type FoundMessages = {
  readonly read: number;
  readonly found: number;
  readonly erased: number;
  readonly cancelled: number;
  readonly byStatus: Readonly<Record<string, number>>;
  readonly ids: readonly string[];
  /** Ids that an erasure leaves for now. */
  readonly left: readonly string[];
};

/** Values: addresses, most. The emails to them, also sealed ones. */
export const addressedSql = `
  with found as materialized (
    select m.id, m.status from waybill.outbox_messages m where m.id = any(array(select waybill.search_recipients($1::text[], $2))))
  select (select count(*)::int from found) as found,
         array(select id::text from found order by id desc limit ${samples}) as ids,
         coalesce((select jsonb_object_agg(status, n) from (select status, count(*)::int as n from found group by 1) s), '{}') as "byStatus"`;

type Addressed = Pick<FoundMessages, 'found' | 'ids' | 'byStatus'>;

export async function findAddressed(db: Executor, { addresses }: Needle): Promise<FoundMessages> {
  const { rows } = await db.executeSql<Addressed>(addressedSql, [addresses, mostCounted + 1]);
  const row = rows[0]!;
  return {
    ...row,
    found: Math.min(row.found, mostCounted),
    read: row.found,
    erased: 0,
    cancelled: 0,
    left: [],
  };
}

/** Values: addresses, most, limit. */
export const erasableSql = `
  select m.id::text as id, m.status from waybill.outbox_messages m
   where m.id = any(array(select waybill.search_recipients($1::text[], $2))) and not ${guard('deliver', 'm.status')} order by m.id limit $3`;

/** Erases some of the emails. If it could erase none, `left` has those that are left for now. */
export async function eraseAddressed(tx: Executor, needle: Needle, note: string): Promise<FoundMessages> {
  const values = [needle.addresses, 20 * batchSize, batchSize];
  const { rows } = await tx.executeSql<{ id: string; status: string }>(erasableSql, values);
  const { ids, cancelled } = await eraseMessages(
    tx,
    rows.map(({ id }) => id),
    note,
  );
  if (ids.length === 0) {
    const rest = await findAddressed(tx, needle);
    return { ...rest, left: rest.ids };
  }
  await eraseKeys(tx, needle, ids);
  const byStatus: Record<string, number> = {};
  for (const { id, status } of rows) if (ids.includes(id)) byStatus[status] = (byStatus[status] ?? 0) + 1;
  const n = ids.length;
  return { read: n, found: n, erased: n, cancelled, byStatus, ids: ids.slice(-samples), left: [] };
}

const keyText = `concat_ws(E'\\n', m.delivery_key, m.shared_key, m.group_key, m.order_key, array_to_string(m.tags, E'\\n'), m.request_id)`;

/** The id of the last message read, and the messages of the page that hold the address beside those of `findAddressed`. */
type Page = {
  readonly read: number;
  readonly last: readonly string[] | null;
  readonly found: number;
  readonly byStatus: Readonly<Record<string, number>>;
  /** Their payloads have it: they are erased. */
  readonly payloads: readonly string[];
  /** Only their keys, tags or errors have it: it is replaced there. */
  readonly others: readonly string[];
};

/**
 * @param after id of the last message of the page before; null: from the oldest on
 * @param rows to read at most
 */
export function mentionsSql(
  needle: Needle,
  after: string | null,
  rows: number,
): { readonly text: string; readonly values: unknown[] } {
  const { inText, inKey, addresses, values } = findingOf(needle);
  const beyond = after === null ? '' : `where m.id > $${values.push(after)}::uuid`;
  const text = `
  with hashes as materialized (select array(select waybill.email_hash(a) from unnest(${addresses()}) a) as of),
  page as materialized (
    select m.id, m.status, coalesce(m.recipient_hashes && (select of from hashes), false) as addressed, ${inText('m.payload::text')} as "inPayload",
           coalesce(${inKey(keyText)}, false) or coalesce(${inText('m.last_error')}, false) as "inOthers"
      from waybill.outbox_messages m ${beyond} order by m.id limit ${rows}),
  found as materialized (select * from page where not addressed and ("inPayload" or "inOthers"))
  select (select count(*)::int from page) as read, (select jsonb_build_array(id::text) from page order by id desc limit 1) as last,
         (select count(*)::int from found) as found,
         coalesce((select jsonb_object_agg(status, n) from (select status, count(*)::int as n from found group by 1) s), '{}') as "byStatus",
         array(select id::text from found where "inPayload" order by id) as payloads,
         array(select id::text from found where not "inPayload" order by id) as others`;
  return { text, values };
}

/** One page of messages. With a note, which says who does it and why, it is erased. */
export async function pageOfMentions(
  tx: Executor,
  needle: Needle,
  after: string | null,
  { rows, note }: { readonly rows: number; readonly note: string | null },
): Promise<FoundMessages & { readonly last: readonly string[] | null }> {
  const { text, values } = mentionsSql(needle, after, rows);
  const page = (await tx.executeSql<Page>(text, values)).rows[0]!;
  const all = [...page.payloads, ...page.others];
  const { read, last, found, byStatus } = page;
  const base = { read, last, found, byStatus, ids: all.slice(0, samples) };
  if (note === null || all.length === 0) return { ...base, erased: 0, cancelled: 0, left: [] };
  const { ids, cancelled } = await eraseMessages(tx, page.payloads, note);
  const named = new Set(await eraseKeys(tx, needle, [...ids, ...page.others]));
  const left = [
    ...page.payloads.filter((id) => !ids.includes(id) || named.has(id)),
    ...page.others.filter((id) => named.has(id)),
  ];
  return { ...base, erased: all.length - left.length, cancelled, left: left.slice(0, samples) };
}

/** A message that has not ended, or holds back others of its order key, keeps its keys: they decide what happens to it. */
const hasEnded = `m.status = any('{delivered,dead,cancelled}') and m.order_due is null`;

/**
 * Replaces keys, group, order key, tags and request id that have the address by a hash, and the address in the last error. A delivery key gets a hash of
 * its own, because the same key may be recorded and erased again.
 */
function keysSql({ inKey, replaced }: Finding): string {
  const hashed = (column: string, salt = ''): string =>
    `case when ${inKey(column)} then waybill.erased_text(${salt}${column}) else ${column} end`;
  const set = {
    delivery_key: hashed('m.delivery_key', `m.id::text || ' ' || `),
    shared_key: hashed('m.shared_key', `m.id::text || ' ' || `),
    group_key: hashed('m.group_key'),
    order_key: hashed('m.order_key'),
    request_id: hashed('m.request_id'),
    tags: `case when ${inKey(`array_to_string(m.tags, E'\\n')`)}
                then array(select ${hashed('e.tag')} from unnest(m.tags) with ordinality as e(tag, place) order by e.place) else m.tags end`,
    last_error: replaced('m.last_error'),
  };
  return updateMessages(set);
}

/**
 * @param ids messages whose keys or errors may have the address
 * @returns the ids of those that keep it
 */
async function eraseKeys(tx: Executor, needle: Needle, ids: readonly string[]): Promise<string[]> {
  if (ids.length === 0) return [];
  const finding = findingOf(needle);
  const { inKey, inText, values } = finding;
  const which = `m.id = any($${values.push(ids)}::uuid[])`;
  const hit = `(coalesce(${inKey(keyText)}, false) or coalesce(${inText('m.last_error')}, false))`;
  const text = `
  with found as materialized (select m.id from waybill.outbox_messages m where ${which} and ${hit}),
  free as materialized (
    select m.id from waybill.outbox_messages m where m.id = any(array(select id from found)) and ${hasEnded} order by m.id for update skip locked),
  done as (${keysSql(finding)} where m.id = any(array(select id from free)) returning m.id)
  select id::text as id from found where id not in (select id from done)`;
  return (await tx.executeSql<{ id: string }>(text, values)).rows.map(({ id }) => id);
}
