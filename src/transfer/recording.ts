// Records the messages that jobs become, each once. A job whose message exists already is done with: an import that was interrupted recorded it.

import type { Executor } from '../db/executor.ts';
import type { Transactions } from '../db/transaction.ts';
import { arrayText } from '../db/values.ts';
import type { PayloadKeys } from '../message/seal.ts';
import { findExisting } from '../outbox/existing.ts';
import { createPostgresOutbox } from '../store/postgres.ts';
import { batchBytes } from './batch-bytes.ts';
import { importedNote } from './known-lines.ts';
import { idKey } from './import-key.ts';
import { misfitOf, type Fit, type Misfit } from './judge.ts';
import type { SourceJob, SourceName } from './source.ts';

export type Recording = {
  readonly source: SourceName;
  readonly db: Executor & Transactions;
  readonly maxPayloadBytes: number;
  readonly payloadKeys: PayloadKeys;
};

export type Recorded = {
  readonly recorded: readonly SourceJob[];
  /** Their messages existed. */
  readonly already: readonly SourceJob[];
  /** Other messages have their keys. */
  readonly taken: readonly Misfit[];
};

function* partsOf(fits: readonly Fit[]): Generator<readonly Fit[]> {
  let [part, bytes]: [Fit[], number] = [[], 0];
  for (const fit of fits) {
    if (part.length > 0 && bytes + fit.job.json.length > batchBytes) {
      yield part;
      [part, bytes] = [[], 0];
    }
    part.push(fit);
    bytes += fit.job.json.length;
  }
  if (part.length > 0) yield part;
}

/** @param tx the transaction of the source; undefined: one of its own for each part */
export async function recordFits(
  recording: Recording,
  fits: readonly Fit[],
  tx?: Executor,
): Promise<Recorded> {
  const all: { recorded: SourceJob[]; already: SourceJob[]; taken: Misfit[] } = {
    recorded: [],
    already: [],
    taken: [],
  };
  for (const part of partsOf(fits)) {
    const its = await (tx === undefined
      ? recording.db.transaction((own) => recordPart(recording, part, own))
      : recordPart(recording, part, tx));
    all.recorded.push(...its.recorded);
    all.already.push(...its.already);
    all.taken.push(...its.taken);
  }
  return all;
}

async function recordPart(
  { source, maxPayloadBytes, payloadKeys }: Recording,
  fits: readonly Fit[],
  tx: Executor,
): Promise<Recorded> {
  const outbox = createPostgresOutbox(tx, { maxPayloadBytes, payloadKeys });
  const answers = await outbox.enqueue(fits.map(({ message }) => message));
  const old = fits.flatMap((fit, i) => (answers[i]!.duplicate ? [{ fit, id: answers[i]!.id }] : []));
  const marked =
    old.length > 0
      ? await marksOf(
          tx,
          old.map(({ id }) => id),
        )
      : undefined;
  const isOurs = ({ fit, id }: (typeof old)[number]): boolean => {
    const mark = idKey(source, fit.job);
    return fit.message.deliveryKey === mark || marked?.get(id)?.includes(mark) === true;
  };
  await noteLines(
    tx,
    fits.flatMap(({ job, message }, i) => {
      const mark = idKey(source, job);
      const isOwn = job.exported !== undefined && message.deliveryKey !== mark && !answers[i]!.duplicate;
      return isOwn ? [{ id: answers[i]!.id, mark }] : [];
    }),
  );
  return {
    recorded: fits.flatMap(({ job }, i) => (answers[i]!.duplicate ? [] : [job])),
    already: old.filter(isOurs).map(({ fit }) => fit.job),
    taken: old.filter((one) => !isOurs(one)).map(({ fit: { job } }) => keyTaken(job)),
  };
}

/** The job stays in the source: its own key is that of another message. */
export const keyTaken = (job: SourceJob): Misfit => misfitOf(job, 'delivery_key_taken');

/** Values: ids, marks. */
export const noteLinesSql = `
  insert into waybill.outbox_notes (message_id, type, detail)
  select n.id, '${importedNote}', n.mark from unnest($1::text::uuid[], $2::text::text[]) as n(id, mark)`;

/** Notes which line each message came from. A tag would change the message, and there may be 20 already. */
async function noteLines(
  tx: Executor,
  marked: readonly { readonly id: string; readonly mark: string }[],
): Promise<void> {
  if (marked.length === 0) return;
  const values = [arrayText(marked.map(({ id }) => id)), arrayText(marked.map(({ mark }) => mark))];
  await tx.executeSql(noteLinesSql, values);
}

/** Values: ids. Jobs are marked by a tag, and lines by a note. */
export const tagsSql = `
  select id::text as id,
         coalesce(tags, '{}') || array(select n.detail from waybill.outbox_notes n where n.message_id = m.id and n.type = '${importedNote}') as tags
    from waybill.outbox_messages m where id = any($1::text::uuid[])`;

async function marksOf(tx: Executor, ids: readonly string[]): Promise<Map<string, readonly string[]>> {
  const { rows } = await tx.executeSql<{ id: string; tags: readonly string[] | null }>(tagsSql, [
    arrayText(ids),
  ]);
  return new Map(rows.map(({ id, tags }) => [id, tags ?? []]));
}

/**
 * Of jobs whose own keys are to be delivery keys: those that cannot be recorded, because another message has the key, or another job before them.
 * They stay in the source.
 */
export async function withTakenKeys(
  db: Executor,
  source: SourceName,
  fits: readonly Fit[],
): Promise<ReadonlySet<Fit>> {
  const own = fits.filter(({ job, message }) => message.deliveryKey !== idKey(source, job));
  if (own.length === 0) return new Set();
  const firsts = new Map<string, Fit>();
  const keyOf = ({ message: { kind, name, deliveryKey } }: Fit): string =>
    JSON.stringify([kind, name, deliveryKey]);
  for (const fit of own) if (!firsts.has(keyOf(fit))) firsts.set(keyOf(fit), fit);
  const asked = own.map(({ job, message }) => ({ ...message, id: idKey(source, job) }));
  const existing = await findExisting(db, asked);
  const marks = await marksOf(
    db,
    [...existing.values()].map(({ id }) => id),
  );
  const isTaken = (fit: Fit): boolean => {
    const mark = idKey(source, fit.job);
    const found = existing.get(mark);
    return found ? marks.get(found.id)?.includes(mark) !== true : firsts.get(keyOf(fit)) !== fit;
  };
  return new Set(own.filter(isTaken));
}

/**
 * Values: keys. The keys that a message has or had, of any kind and name and in any state: what an interrupted import recorded may have ended, and its
 * map may have changed.
 */
export const usedKeysSql = `
  select delivery_key as key from waybill.outbox_messages
   where delivery_key = any($1::text::text[]) and delivery_key is not null and dead_at is null and cancelled_at is null
  union
  select coalesce(delivery_key, shared_key) from waybill.outbox_messages
   where coalesce(delivery_key, shared_key) = any($1::text::text[])
     and (shared_key is not null or (delivery_key is not null and (dead_at is not null or cancelled_at is not null)))`;

/** Values: tags. Those that a message has, in any state. */
export const usedTagsSql = `
  select distinct t.tag from waybill.outbox_messages m cross join unnest(m.tags) as t(tag)
   where m.tags && $1::text::text[] and m.tags is not null and t.tag = any($1::text::text[])`;

/** Of jobs that an interrupted import held: whether their messages were recorded, with a key made of the id or with a key of their own and a tag. */
export async function wereRecorded(
  db: Executor,
  source: SourceName,
  jobs: readonly SourceJob[],
): Promise<ReadonlySet<SourceJob>> {
  const keys = new Map(jobs.map((job) => [idKey(source, job), job]));
  const values = [arrayText([...keys.keys()])];
  const used = (await db.executeSql<{ key: string }>(usedKeysSql, values)).rows.map(({ key }) => key);
  const tags = (await db.executeSql<{ tag: string }>(usedTagsSql, values)).rows.map(({ tag }) => tag);
  return new Set([...used, ...tags].flatMap((key) => keys.get(key) ?? []));
}
