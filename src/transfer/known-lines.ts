// Lines of an export whose messages are here. A file can be imported again, also into the database that it came from, and records no message twice.

import type { Executor } from '../db/executor.ts';
import { arrayText, textOf } from '../db/values.ts';
import { isMessageId } from '../operate/read.ts';
import { idKey } from './import-key.ts';
import type { SourceJob } from './source.ts';

/** How the note begins of a message that an export to a file cancelled. */
export const toFile = 'to a file of JSON lines';

/** The note of a message that was recorded from a line and has a delivery key of its own: which line. */
export const importedNote = 'imported';

/**
 * Values: ids, keys. Messages with one of the ids or keys, in any state. `away`: an export to a file cancelled it, and nobody since.
 */
export const knownLinesSql = `
  with found as (
    select id, delivery_key as key, cancelled_at from waybill.outbox_messages
     where delivery_key = any($2::text::text[]) and delivery_key is not null and dead_at is null and cancelled_at is null
    union all
    select id, coalesce(delivery_key, shared_key), cancelled_at from waybill.outbox_messages
     where coalesce(delivery_key, shared_key) = any($2::text::text[])
       and (shared_key is not null or (delivery_key is not null and (dead_at is not null or cancelled_at is not null)))
    union all
    select id, null, cancelled_at from waybill.outbox_messages where id = any($1::text::uuid[]))
  select f.id::text as id, f.key,
         coalesce((select bool_or(n.type = 'exported' and n.detail like '${toFile}%' and n.at >= f.cancelled_at)
                     from waybill.outbox_notes n where n.message_id = f.id), false) as away,
         array(select n.detail from waybill.outbox_notes n where n.message_id = f.id and n.type = '${importedNote}') as marks
    from found f`;

type Row = {
  readonly id: string;
  readonly key: string | null;
  readonly away: boolean;
  readonly marks: readonly string[];
};

/**
 * The lines whose messages are here, or are named before in the same batch. A message that an export to a file cancelled may come back; one that a person
 * cancelled, or that was delivered or died, may not.
 */
export async function knownLines(db: Executor, jobs: readonly SourceJob[]): Promise<ReadonlySet<SourceJob>> {
  const marks = new Map(jobs.map((job) => [job, idKey('ndjson', job)]));
  const ids = jobs.map(({ id }) => id).filter(isMessageId);
  const keys = new Set([...marks.values(), ...jobs.flatMap(({ key }) => key ?? [])]);
  const { rows } = await db.executeSql<Row>(knownLinesSql, [arrayText(ids), arrayText([...keys])]);
  const here = rows.filter(({ away }) => !away);
  const known = new Set(here.flatMap((row) => [textOf(row.id), row.key ?? [], row.marks].flat()));
  const met = new Set<string>();
  return new Set(
    jobs.filter((job) => {
      const mark = marks.get(job)!;
      const isKnown = known.has(job.id.toLowerCase()) || known.has(mark) || met.has(mark);
      met.add(mark);
      return isKnown;
    }),
  );
}
