// A source that keeps its jobs in a Postgres. If it is the database of the messages, one transaction records them and deletes the jobs. If it is another
// one, the import holds the jobs between the two (held.ts). Rows are locked as the source's own workers lock them, so each job is started by a worker of
// the source or becomes a message, never both.

import { sqlState } from '../db/diagnosis.ts';
import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import { WaybillError } from '../errors.ts';
import { heldJobs } from './held.ts';
import {
  nothingHeld,
  type Handling,
  type Moved,
  type Page,
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
  /** Reads jobs behind a place, and locks them; rows that others have locked are left out. */
  page(db: Executor, walk: Walk, lock: boolean): Promise<readonly Placed[]>;
  remove(tx: Executor, jobs: readonly SourceJob[]): Promise<void>;
};

export type Placed = { readonly job: SourceJob; readonly place: Place };

export type PostgresSource = {
  /** The source's database. */
  readonly db: Database;
  /** It is the database of the messages. */
  readonly isHere: boolean;
};

export function postgresSource(tables: Tables, { db, isHere }: PostgresSource): Source {
  const held = heldJobs(tables.schema);
  let isPrepared = false;
  return {
    name: tables.name,
    async survey() {
      const found = await surveyed(tables, db);
      return { ...found, held: isHere ? 0 : await held.count(db) };
    },
    read: (walk) => pageOf(tables, db, walk, false),
    async move(walk, handling) {
      if (isHere) return moveHere(tables, db, walk, handling);
      if (!isPrepared) await held.prepare(db);
      isPrepared = true;
      return moveAcross(tables, db, walk, handling);
    },
    async resume(after, limit, handling) {
      if (isHere || (await held.count(db)) === 0) return nothingHeld();
      const jobs = await held.read(db, after, limit);
      const done = await handling.record(await handling.choose(jobs), undefined);
      await held.forget(db, done);
      return { read: jobs.length, left: done.length, next: undefined, last: jobs.at(-1)?.id ?? '' };
    },
    close: async () => (isHere ? undefined : db.end()),
  };
}

async function pageOf(tables: Tables, db: Executor, walk: Walk, lock: boolean): Promise<Page> {
  const placed = await tables.page(db, walk, lock);
  const next = placed.length < walk.limit ? undefined : placed.at(-1)!.place;
  return { jobs: placed.map(({ job }) => job), next };
}

/** One transaction records the messages and deletes the jobs. */
async function moveHere<F extends { readonly job: SourceJob }>(
  tables: Tables,
  db: Database,
  walk: Walk,
  handling: Handling<F>,
): Promise<Moved> {
  return db.transaction(async (tx) => {
    const { jobs, next } = await pageOf(tables, tx, walk, true);
    const done = await handling.record(await handling.choose(jobs), tx);
    if (done.length > 0) await tables.remove(tx, done);
    return { read: jobs.length, left: done.length, next };
  });
}

/** One transaction holds the jobs; then they are recorded, and forgotten. */
async function moveAcross<F extends { readonly job: SourceJob }>(
  tables: Tables,
  db: Database,
  walk: Walk,
  handling: Handling<F>,
): Promise<Moved> {
  const held = heldJobs(tables.schema);
  const { jobs, next, chosen } = await db.transaction(async (tx) => {
    const page = await pageOf(tables, tx, walk, true);
    const fits = await handling.choose(page.jobs);
    const its = fits.map(({ job }) => job);
    if (its.length > 0) {
      await tables.remove(tx, its);
      await held.hold(tx, its);
    }
    return { ...page, chosen: fits };
  });
  const done = await handling.record(chosen, undefined);
  await held.forget(db, done);
  return { read: jobs.length, left: chosen.length, next };
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
