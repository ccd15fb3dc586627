// Reads the mails that the provider `inbox` stored: a searchable list, and single mails with their attachments.

import { z } from 'zod';
import type { Executor } from '../db/executor.ts';
import { momentOf, momentText, type Moment } from '../db/moment.ts';
import { cursorAfter, placeOfCursor } from '../operate/cursor.ts';
import { WaybillError } from '../errors.ts';
import type { Paging } from '../operate/filter.ts';
import { checkId } from '../operate/read.ts';
import { attachment as attachmentSchema, contentOf, htmlAlone, type Attachment } from './attachment.ts';
import { headersOf, type HeaderLines } from './source.ts';

export type StoredLine = {
  /** The message's id. */
  readonly id: string;
  /** From the envelope, like `recipients`. */
  readonly from: string;
  readonly recipients: readonly string[];
  readonly subject: string;
  readonly storedAt: Moment;
  /** The size of the source. */
  readonly bytes: number;
};

export type StoredAttachment = {
  readonly index: number;
  readonly filename: string;
  /** The content type in the email; null: the filename decides. */
  readonly contentType: string | null;
  /** The name by which the html shows it; null: it does not. */
  readonly cid: string | null;
  /** The size of the file. */
  readonly bytes: number;
};

export type StoredEmail = StoredLine & {
  readonly html: string | null;
  readonly text: string | null;
  readonly headers: HeaderLines;
  readonly attachments: readonly StoredAttachment[];
};

export type StoredPage = { readonly mails: readonly StoredLine[]; readonly nextCursor: string | null };

const lineColumns = `message_id as id, sender as "from", recipients, subject, ${momentText('stored_at')} as "storedAt", octet_length(source) as bytes`;

/** Values: number of the previous page's last mail, search text, rows. Does not read the bodies. */
export const listEmailsSql = `
  select ${lineColumns}, number::text as cursor from waybill.inbox_emails
   where number < coalesce($1::bigint, 9223372036854775807)
     and ($2::text is null or position(lower($2) in lower(subject)) > 0
          or position(lower($2) in lower(array_to_string(recipients, ' '))) > 0)
   order by number desc limit $3`;

export type MailboxQuery = Paging & {
  /** Part of a recipient or of the subject, in upper or lower case. */
  readonly search?: string | undefined;
};

/**
 * Newest first.
 * @throws WaybillError `invalid_cursor`
 */
export async function listEmails(db: Executor, query: MailboxQuery = {}): Promise<StoredPage> {
  const { search, limit = 50, cursor } = query;
  const listed = { list: 'inbox', filter: { search } };
  const after = cursor === undefined ? null : placeOfCursor(cursor, listed);
  const values = [after, search ?? null, limit + 1];
  type Row = Omit<StoredLine, 'storedAt'> & { readonly storedAt: string; readonly cursor: string };
  const { rows } = await db.executeSql<Row>(listEmailsSql, values);
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const nextCursor = rows.length > limit && last ? cursorAfter(last.cursor, listed) : null;
  const mails = page.map(({ id, from, recipients, subject, storedAt, bytes }) => {
    return { id, from, recipients, subject, storedAt: momentOf(storedAt), bytes };
  });
  return { mails, nextCursor };
}

export const showEmailSql = `
  select ${lineColumns}, html, text, substring(source for position('\\x0d0a0d0a'::bytea in source) - 1) as head,
    coalesce((select jsonb_agg(jsonb_build_object('index', a.position - 1, 'filename', a.value -> 'filename',
                                                  'contentType', a.value -> 'contentType', 'cid', a.value -> 'cid', 'bytes', case when a.value ->> 'encoding' = 'base64'
                                                    then octet_length(translate(a.value ->> 'content', E'\\r\\n=', '')) * 3 / 4
                                                    else octet_length(a.value ->> 'content') end) order by a.position)
                from jsonb_array_elements(m.payload -> 'attachments') with ordinality a (value, position)), '[]') as attachments
    from waybill.inbox_emails join waybill.outbox_messages m on m.id = message_id
   where message_id = $1`;

/** @throws WaybillError `invalid_id`, `not_found` */
export async function showEmail(db: Executor, id: string): Promise<StoredEmail> {
  type Row = Omit<StoredEmail, 'headers' | 'storedAt'> & { readonly head: Buffer; readonly storedAt: string };
  const { head, ...email } = await one<Row>(db, showEmailSql, [id]);
  return { ...email, storedAt: momentOf(email.storedAt), headers: headersOf(head.toString()) };
}

export const emailSourceSql = `select source from waybill.inbox_emails where message_id = $1`;

/** @throws WaybillError `invalid_id`, `not_found` */
export async function readSource(db: Executor, id: string): Promise<Buffer> {
  return (await one<{ source: Buffer }>(db, emailSourceSql, [id])).source;
}

export const emailAttachmentsSql = `
  select m.payload -> 'attachments' as attachments, html
    from waybill.inbox_emails join waybill.outbox_messages m on m.id = message_id
   where message_id = $1`;

async function readContents(
  db: Executor,
  id: string,
): Promise<{ readonly html: string | null; readonly attachments: readonly Attachment[] }> {
  type Row = { html: string | null; attachments: unknown };
  const { html, attachments } = await one<Row>(db, emailAttachmentsSql, [id]);
  return { html, attachments: z.array(attachmentSchema).parse(attachments ?? []) };
}

/** @throws WaybillError `invalid_id`, `not_found` */
export async function readAttachment(
  db: Executor,
  id: string,
  index: number,
): Promise<{ readonly filename: string; readonly content: Buffer }> {
  return fileOf((await readContents(db, id)).attachments, index);
}

/**
 * The mail's html with its images as data URLs, to be shown alone.
 * @returns null when the mail has no html
 * @throws WaybillError `invalid_id`, `not_found`
 */
export async function showHtml(db: Executor, id: string): Promise<string | null> {
  const { html, attachments } = await readContents(db, id);
  return html === null ? null : htmlAlone(html, attachments);
}

/** @throws WaybillError `not_found` */
export function fileOf(
  attachments: readonly Attachment[],
  index: number,
): { readonly filename: string; readonly content: Buffer } {
  const found = attachments[index];
  if (found === undefined) throw new WaybillError('not_found', 'the mail has no attachment of this number');
  return { filename: found.filename, content: contentOf(found) };
}

export const emptyInboxSql = `
  with gone as (delete from waybill.inbox_emails returning 1)
  select count(*)::int as deleted from gone`;

/**
 * Deletes every mail from the inbox; the messages stay.
 * @returns the number of deleted mails
 */
export async function emptyInbox(db: Executor): Promise<number> {
  return (await db.executeSql<{ deleted: number }>(emptyInboxSql)).rows[0]!.deleted;
}

async function one<Row>(db: Executor, sql: string, values: readonly [string, ...unknown[]]): Promise<Row> {
  checkId(values[0]);
  const [row] = (await db.executeSql<Row>(sql, values)).rows;
  if (row) return row;
  throw new WaybillError('not_found', 'there is no such mail in the inbox');
}
