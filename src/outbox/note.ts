// Notes in the timeline of a message. Deliveries write them in the statement that settles. Later reports (a bounce) find their message by its
// id or by the provider's reference.

import type { Executor } from '../db/executor.ts';
import type { Moment } from '../db/moment.ts';
import { cleanError, storable } from '../redaction/redact.ts';
import type { Note, Settlement } from '../message/outcome.ts';

export type NoteView = {
  readonly at: Moment;
  readonly type: string;
  readonly recipient: string | null;
  readonly detail: string | null;
  readonly reference: string | null;
};

/** A note as JSON that Postgres can store. */
function noteRow(id: string, { type, recipient, detail, reference }: Note): Record<string, unknown> {
  return {
    message_id: id,
    type,
    recipient: recipient === undefined ? null : storable(recipient),
    detail: detail === undefined ? null : cleanError(detail),
    reference: reference === undefined ? null : storable(reference, 200),
  };
}

export function noteRowsOf(settlement: Settlement): Record<string, unknown>[] {
  if (settlement.to !== 'delivered') return [];
  return (settlement.notes ?? []).map((note) => noteRow(settlement.id, note));
}

/** `r(…)`: the parameter's rows of `noteRowsOf`, as a recordset. */
export const noteRows = (parameter: string): string =>
  `jsonb_to_recordset(${parameter}::text::jsonb) as r(message_id pg_catalog.uuid, type pg_catalog.text, recipient pg_catalog.text,
    detail pg_catalog.text, reference pg_catalog.text)`;

/**
 * Values: reference, message id or null, type, recipient, detail, source. The id takes precedence when its message exists. The timeline of a sensitive or an
 * erased message names nobody.
 */
export const reportSql = `
  insert into waybill.outbox_notes (message_id, type, recipient, detail, reference, source)
  select id, $3, case when exists (select from waybill.outbox_messages m where m.id = found.id and m.payload ?| '{$sealed,dropped,erased}') then null else $4 end,
         $5, $1, $6 from (
    select id, 1 as rank from waybill.outbox_messages where id = $2::uuid
    union all (select message_id, 2 from waybill.outbox_notes where reference = $1 order by id limit 1)
  ) found order by rank limit 1
  on conflict (source) where source is not null do nothing
  returning message_id as id`;

export type Report = Omit<Note, 'reference'> & {
  /** The provider's id of the email; null: unknown. */
  readonly reference: string | null;
  /** The message, when the report names it. */
  readonly messageId: string | null;
  /** The report's own id: a report that arrives twice is noted once. */
  readonly source: string;
};

/** Values: source. */
export const notedSql = `select from waybill.outbox_notes where source = $1`;

/** Whether the report arrived before. One of an unknown message left no note. */
export async function isNoted(db: Executor, source: string): Promise<boolean> {
  return (await db.executeSql(notedSql, [source])).rows.length > 0;
}

/** Notes a later report of the provider. False when no message matches, or the report is noted already. */
export async function noteReport(db: Executor, report: Report): Promise<boolean> {
  const { reference, messageId, source, ...note } = report;
  const row = noteRow('', { ...note, ...(reference !== null && { reference }) });
  const values = [row['reference'], messageId, row['type'], row['recipient'], row['detail'], source];
  return (await db.executeSql(reportSql, values)).rows.length === 1;
}
