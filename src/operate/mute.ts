// Mutes of failures: a person has seen a group and does not want to see it until it changes. Another error, name or cause is another group; and a
// group that grows to more than twice its messages of a window is shown there again.

import type { Executor } from '../db/executor.ts';
import { momentOf, momentText, type Moment } from '../db/moment.ts';
import { WaybillError } from '../errors.ts';
import { maskAddresses } from '../redaction/addresses.ts';
import { cleanError } from '../redaction/redact.ts';
import { windows, type Window } from './grouping.ts';

export type MuteView = {
  readonly key: string;
  readonly at: Moment;
  readonly by: string;
  readonly reason: string | null;
  /** Messages of the group in each window when it was muted. */
  readonly counts: Readonly<Record<Window, number>>;
};

/** The group has at most twice as many messages in the window as when it was muted. */
export function isMutedIn({ counts }: Pick<MuteView, 'counts'>, window: Window, count: number): boolean {
  return count <= 2 * counts[window];
}

/** Older mutes have ended, whatever the group does. */
const longestDays = 30;
const most = 1_000;

export const mutesSql = `
  select key, ${momentText('at')} as at, by, reason, counts from waybill.failure_mutes
   where at > now() - interval '${longestDays} days' order by at desc limit ${most}`;

type Row = Omit<MuteView, 'at'> & { readonly at: string };

export async function readMutes(db: Executor): Promise<MuteView[]> {
  const { rows } = await db.executeSql<Row>(mutesSql);
  const known = (counts: Partial<MuteView['counts']>): MuteView['counts'] =>
    Object.fromEntries(windows.map((window) => [window, counts[window] ?? 0])) as MuteView['counts'];
  return rows.map((row) => ({ ...row, at: momentOf(row.at), counts: known(row.counts) }));
}

/** Values: key, by, reason, counts. It also deletes mutes that have ended, and the oldest beyond the bound. */
export const muteSql = `
  with ended as (
    delete from waybill.failure_mutes
     where key <> $1 and (at <= now() - interval '${longestDays} days'
       or key in (select key from waybill.failure_mutes order by at desc offset ${most - 1})))
  insert into waybill.failure_mutes as m (key, by, reason, counts) values ($1, $2, $3, $4::text::jsonb)
  on conflict (key) do update set at = now(), by = excluded.by, reason = excluded.reason, counts = excluded.counts`;

export async function insertMute(
  db: Executor,
  { key, by, reason, counts }: Omit<MuteView, 'at'>,
): Promise<void> {
  const why = reason === null ? null : maskAddresses(cleanError(reason));
  await db.executeSql(muteSql, [key, by.slice(0, 200), why, JSON.stringify(counts)]);
}

/** @throws WaybillError `not_found` */
export async function deleteMute(db: Executor, key: string): Promise<void> {
  const sql = 'delete from waybill.failure_mutes where key = $1 returning true';
  if ((await db.executeSql(sql, [key])).rows.length > 0) return;
  throw new WaybillError(
    'not_found',
    `no failures with the key ${JSON.stringify(key.slice(0, 40))} are muted: \`waybill outbox failures\` shows the keys`,
  );
}
