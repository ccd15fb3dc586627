// Cron jobs that a person disabled: their ticks are skipped until the end of it, or until somebody enables them.

import type { Executor } from '../db/executor.ts';
import { momentOf, momentText, type Moment } from '../db/moment.ts';
import { timeText } from '../db/values.ts';
import { WaybillError } from '../errors.ts';
import type { PauseEnd } from '../queues/queues.ts';
import { cleanError } from '../redaction/redact.ts';

export type Disabled = {
  readonly since: Moment;
  readonly by: string;
  readonly reason: string | null;
  /** Null: until somebody enables the job. */
  readonly until: Moment | null;
};

/** With texts as times. */
export type DisabledRow = { readonly [K in keyof Disabled]: K extends 'by' ? string : string | null };

/** SQL expression over a job: an object, or null where the job is not disabled now. @param name the job's name as an expression */
export const disabledSql = (name: string): string => `
  (select jsonb_build_object('since', ${momentText('d.since')}, 'by', d.by, 'reason', d.reason, 'until', ${momentText('d.until')})
     from waybill.cron_disabled d where d.name = ${name} and coalesce(d.until > now(), true))`;

export function disabledOf(row: DisabledRow | null): Disabled | null {
  if (row === null) return null;
  const reason = row.reason === null ? null : cleanError(row.reason);
  return { since: momentOf(row.since)!, by: row.by, reason, until: momentOf(row.until) };
}

/** Values: name, person, reason, end (or null), ms until the end (or null). No row: the end has passed. */
export const disableSql = `
  insert into waybill.cron_disabled as d (name, by, reason, until)
  select $1, $2, $3, e.at from (select coalesce($4::text::timestamptz, now() + ($5::float8 * interval '1 millisecond')) as at) e
   where e.at is null or e.at > now()
  on conflict (name) do update
     set since = case when coalesce(d.until > now(), true) then d.since else now() end, by = excluded.by, reason = excluded.reason,
         until = excluded.until
  returning name`;

/**
 * Disabling a disabled job replaces the person, the reason and the end.
 * @throws WaybillError `invalid_pause` when the end has passed
 */
export async function disable(
  db: Executor,
  name: string,
  { by, reason, until, forMs }: { readonly by: string; readonly reason: string | null } & PauseEnd,
): Promise<void> {
  const { rows } = await db.executeSql(disableSql, [name, by, reason, timeText(until), forMs ?? null]);
  if (rows.length === 0)
    throw new WaybillError(
      'invalid_pause',
      `disabled until ${until?.toISOString()}, it would be enabled already: give a time to come`,
    );
}

export async function enable(db: Executor, name: string): Promise<void> {
  await db.executeSql('delete from waybill.cron_disabled where name = $1', [name]);
}
