// A source that keeps its jobs in a Postgres. If it is the database of the messages, one transaction records them and deletes the jobs. If it is another
// one, the import holds the jobs between the two (held.ts). Rows are locked as the source's own workers lock them, so each job is started by a worker of
// the source or becomes a message, never both.

import { sqlState } from '../db/diagnosis.ts';
import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import { WaybillError } from '../errors.ts';
import { countWithin } from './batch-bytes.ts';
import { heldJobs, type HeldTable } from './held.ts';
import {
  nothingHeld,
  type Handling,
  type Moved,
  type Place,
  type Source,
  type SourceJob,
  type SourceName,
  type Survey,
  type Walk,
} from './source.ts';

/** How one library keeps its jobs. */
export type Tables = {
  readonly name: SourceName;
  /** Quoted. */
  readonly schema: string;
  survey(db: Executor): Promise<Omit<Survey, 'held'>>;
  /** The keys of the jobs behind a place, in the order of the walk. It reads all jobs of the queues, so many keys are read at a time. */
  keys(db: Executor, walk: Walk): Promise<readonly Key[]>;
  /** The bytes of the payloads of these jobs, in their order. */
  sizes(db: Executor, keys: readonly Key[]): Promise<readonly number[]>;
  /** The jobs of these keys that still wait, in any order. With a lock, rows that others have locked are left out. */
  jobs(
    db: Executor,
    keys: readonly Key[],
    how: { readonly failed: boolean; readonly lock: boolean },
  ): Promise<readonly Found[]>;
  remove(tx: Executor, jobs: readonly SourceJob[]): Promise<void>;
};

/** The key of a job's row in its queue, and its place in the walk. */
export type Key = { readonly queue: string; readonly key: string; readonly place: Place };

export type Found = { readonly key: string; readonly job: SourceJob };

export type PostgresSource = {
  /** The source's database. */
  readonly db: Database;
  /** It is the database of the messages. */
  readonly isHere: boolean;
};

export function postgresSource(tables: Tables, { db, isHere }: PostgresSource): Source {
  const held = heldJobs(tables.schema);
  const keys = keysAhead(tables, db);
  let isPrepared = false;
  return {
    name: tables.name,
    async survey() {
      const found = await surveyed(tables, db);
      return { ...found, held: await held.count(db) };
    },
    async read(walk) {
      const next = await keys(walk);
      return { ...next, jobs: await jobsOf(tables, db, next.keys, { ...walk, lock: false }) };
    },
    async move(walk, handling) {
      const { keys: its, next } = await keys(walk);
      if (its.length === 0) return { read: 0, left: 0, next };
      if (!isHere && !isPrepared) await held.prepare(db);
      isPrepared = true;
      const batch = { keys: its, failed: walk.failed };
      const moved = isHere
        ? await moveHere(tables, db, batch, handling)
        : await moveAcross(tables, db, { ...batch, held }, handling);
      return { ...moved, next };
    },
    /** Also in the database of the messages: the import that died may have reached it as another one, by --from. */
    async resume(after, limit, handling) {
      if ((await held.count(db)) === 0) return nothingHeld();
      const { jobs, last } = await held.read(db, after, limit);
      const done = await handling.record(await handling.choose(jobs), undefined);
      await held.forget(db, done);
      return { read: jobs.length, left: done.length, next: undefined, last };
    },
    close: async () => (isHere ? undefined : db.end()),
  };
}

/** Keys that are read at a time. */
const ahead = 10_000;

type Keys = { readonly keys: readonly Key[]; readonly next: Place | undefined };

/** The keys of each page of a walk. */
function keysAhead(tables: Tables, db: Executor): (walk: Walk) => Promise<Keys> {
  let known:
    | {
        readonly after: Place;
        readonly failed: boolean;
        readonly keys: readonly Sized[];
        readonly isAll: boolean;
      }
    | undefined;
  return async (walk) => {
    const { after, failed } = walk;
    let [keys, isAll]: [readonly Sized[], boolean] = [[], false];
    if (known !== undefined && known.after === after && known.failed === failed) ({ keys, isAll } = known);
    if (keys.length === 0 && !isAll) {
      const limit = Math.max(ahead, walk.limit);
      keys = await tables.keys(db, { ...walk, limit });
      isAll = keys.length < limit;
    }
    keys = await sized(tables, db, keys, walk.limit);
    const page = keys.slice(0, countWithin(keys.slice(0, walk.limit).map(({ bytes }) => bytes ?? 0)));
    const rest = keys.slice(page.length);
    const next = page.length === 0 || (isAll && rest.length === 0) ? undefined : page.at(-1)!.place;
    known = next && { after: next, failed, keys: rest, isAll };
    return { keys: page, next };
  };
}

/** A key that was read ahead. The bytes of its payload are read once. */
type Sized = Key & { readonly bytes?: number };

/** @returns the same keys with their sizes, as far as the first `most` */
async function sized(tables: Tables, db: Executor, keys: readonly Sized[], most: number): Promise<Sized[]> {
  const those = keys.slice(0, most).filter(({ bytes }) => bytes === undefined);
  const sizes = those.length > 0 ? await tables.sizes(db, those) : [];
  const bytesOf = new Map(those.map((key, i) => [key, sizes[i]!]));
  return keys.map((key) => ({ ...key, bytes: key.bytes ?? bytesOf.get(key) }) as Sized);
}

/** In the order of the keys. */
async function jobsOf(
  tables: Tables,
  db: Executor,
  keys: readonly Key[],
  how: { readonly failed: boolean; readonly lock: boolean },
): Promise<SourceJob[]> {
  const nameOf = (queue: string, key: string): string => JSON.stringify([queue, key]);
  const found = new Map(
    (await tables.jobs(db, keys, how)).map(({ key, job }) => [nameOf(job.queue, key), job]),
  );
  return keys.flatMap(({ queue, key }) => found.get(nameOf(queue, key)) ?? []);
}

type Batch = { readonly keys: readonly Key[]; readonly failed: boolean };

/** One transaction records the messages and deletes the jobs. */
async function moveHere<F extends { readonly job: SourceJob }>(
  tables: Tables,
  db: Database,
  { keys, failed }: Batch,
  handling: Handling<F>,
): Promise<Omit<Moved, 'next'>> {
  return db.transaction(async (tx) => {
    const jobs = await jobsOf(tables, tx, keys, { failed, lock: true });
    const done = await handling.record(await handling.choose(jobs), tx);
    if (done.length > 0) await tables.remove(tx, done);
    return { read: jobs.length, left: done.length };
  });
}

/** One transaction holds the jobs; then they are recorded, and forgotten. */
async function moveAcross<F extends { readonly job: SourceJob }>(
  tables: Tables,
  db: Database,
  { keys, failed, held }: Batch & { readonly held: HeldTable },
  handling: Handling<F>,
): Promise<Omit<Moved, 'next'>> {
  const { read, chosen } = await db.transaction(async (tx) => {
    const jobs = await jobsOf(tables, tx, keys, { failed, lock: true });
    const fits = await handling.choose(jobs);
    const its = fits.map(({ job }) => job);
    if (its.length > 0) {
      await tables.remove(tx, its);
      await held.hold(tx, its);
    }
    return { read: jobs.length, chosen: fits };
  });
  await held.forget(db, await handling.record(chosen, undefined));
  return { read, left: chosen.length };
}

/** Tables or columns that are not there mean another version of the source. */
async function surveyed(tables: Tables, db: Executor): Promise<Omit<Survey, 'held'>> {
  try {
    return await tables.survey(db);
  } catch (error) {
    const state = sqlState(error);
    if (state === '42703' || state === '42P01') throw unsupported(tables.name, (error as Error).message);
    throw error;
  }
}

export function unsupported(name: SourceName, why: string): WaybillError {
  return new WaybillError(
    'source_unsupported',
    `the tables of ${name} are not of a version that can be imported: ${why} (docs/importing.md)`,
  );
}

export function notFound(name: SourceName, schema: string, option: string): WaybillError {
  return new WaybillError(
    'source_not_found',
    `the database has no tables of ${name} in the schema ${schema}: name another schema with --schema, or another database with ${option}`,
  );
}

/** A schema or another name as it stands in a statement. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** Values: the table. Its columns; none: there is no such table, or the role cannot see it. */
const columnsSql = `
  select a.attname::text as name, row_security_active(a.attrelid) as hidden from pg_catalog.pg_attribute a
   where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped`;

/**
 * The columns of a table of the source.
 * @throws WaybillError `source_not_found`, `source_hidden`
 */
export async function columnsOf(
  db: Executor,
  { name, schema, table }: { readonly name: SourceName; readonly schema: string; readonly table: string },
): Promise<ReadonlySet<string>> {
  const { rows } = await db.executeSql<{ name: string; hidden: boolean }>(columnsSql, [
    `${quoted(schema)}.${quoted(table)}`,
  ]);
  if (rows.length === 0) throw notFound(name, schema, '--from');
  if (rows[0]!.hidden)
    throw new WaybillError(
      'source_hidden',
      `row-level security hides the jobs of ${name} from this role: connect as the owner of the schema ${schema} with --from`,
    );
  return new Set(rows.map((row) => row.name));
}
