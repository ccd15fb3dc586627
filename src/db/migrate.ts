// Migrations: applies each file of sql/*.sql once, in order, under a lock. The checksum of each file is kept. Migrations only go forward.

/* oxlint-disable max-lines -- one migration from the lock to its record, with every error that it explains */

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { diagnose, isConflict, messageOf } from './diagnosis.ts';
import type { Executor } from './executor.ts';
import { readSchema, serverRefusal, unlisted, type Refusal, type Schema } from './ownership.ts';
import type { Database } from './pool.ts';
import { lineOf, runScript, statementsOf } from './script.ts';
import { defaultSettings, localSettings, settingsOf } from './settings.ts';
import { inTransaction, type Transaction } from './transaction.ts';

/** A folder of `NNNN_name.sql` files. `name` separates the application's files from the engine's. */
export type MigrationSource = { readonly name: string; readonly dir: string };

export type MigrationReport = { readonly applied: string[]; readonly pending: string[] };

export type MigrateOptions = {
  readonly dryRun?: boolean;
  /** Called when another run holds the lock and this one waits. */
  readonly onWait?: () => void;
};

export class MigrationError extends Error {
  override readonly name = 'MigrationError';
  /** See docs/errors.md: `migration_failed`, `migration_changed`, `schema_newer`, `schema_older`, `schema_not_ours` … */
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

type File = {
  readonly id: string;
  readonly path: string;
  readonly text: string;
  readonly checksum: string;
};

const engineName = 'waybill';
const isOfEngine = (id: string): boolean => id.startsWith(`${engineName}/`);
const isEngines = ({ id }: File): boolean => isOfEngine(id);

/** The engine's `sql/`, and the `sql/` beside the application's module if there is one. */
export function standardSources(appModule: string): MigrationSource[] {
  // Not new URL(…, import.meta.url): webpack and Turbopack would look for the folder when they bundle an application.
  const engine = { name: engineName, dir: join(dirname(fileURLToPath(import.meta.url)), '../../sql') };
  const own = join(dirname(resolve(appModule)), 'sql');
  return existsSync(own) ? [engine, { name: 'app', dir: own }] : [engine];
}

/**
 * Applies the pending files: the engine's in one transaction, each of the application's in its own. Of two runs at once, the second waits, then finds
 * nothing to do. A transaction that loses a deadlock or a serialization conflict runs again, up to five times.
 * @throws MigrationError when the server or the schema cannot be Waybill's, when an applied file was changed, when the database has files that this
 * version does not know (newer ones, or those before the first release), or when a file fails
 */
export async function migrate(
  db: Database,
  sources: readonly MigrationSource[],
  { dryRun = false, onWait }: MigrateOptions = {},
): Promise<MigrationReport> {
  const files = sources.flatMap(readSource);
  const report: MigrationReport = { applied: [], pending: [] };
  if (dryRun) {
    report.pending.push(...(await pendingOf(db, files)).pending.map((file) => file.id));
    return report;
  }
  const client = await db.connect(); // without pg's own timeout: creating an index of the application may take minutes
  client.on('error', () => undefined); // the next statement fails and gives the reason
  try {
    for (;;) {
      const done = await unlessConflict(() => applyNext(client, files, report.applied, onWait));
      if (done.length === 0) return report;
      report.applied.push(...done);
    }
  } finally {
    await client.end();
  }
}

/** How often a transaction of migrations runs before its deadlock is an error. */
const most = 5;

/** A fleet that runs meanwhile takes locks in its own order. Of two that wait for each other, Postgres ends one, which may be this transaction. */
async function unlessConflict<Done>(work: () => Promise<Done>): Promise<Done> {
  for (let run = 1; ; run++)
    try {
      return await work();
    } catch (error) {
      const reason = error instanceof MigrationError ? error.cause : error;
      if (!isConflict(reason) || run === most) throw error;
    }
}

/** The lock lasts as long as the transaction, so it also works behind a transaction pooler. */
const lockKey = `hashtextextended('waybill migrations', 0)`;
const ours = localSettings(settingsOf('ours'));
const theirs = defaultSettings(settingsOf('ours'));
const unlimited = `begin isolation level read committed; set local statement_timeout = 0; set local lock_timeout = 0;
  set local idle_in_transaction_session_timeout = 0; ${ours}`;

/** @returns the ids of the files that were applied and committed together; empty when nothing is pending */
async function applyNext(
  client: pg.Client,
  files: readonly File[],
  before: readonly string[],
  onWait?: () => void,
): Promise<string[]> {
  const apply = async (tx: Transaction): Promise<string[]> => {
    await lock(tx, onWait);
    const { pending, schema } = await pendingOf(tx, files);
    const first = pending[0];
    if (first === undefined) return [];
    await ready(tx, schema);
    const together = isEngines(first) ? pending.filter(isEngines) : [first];
    // An application's file uses its own schemas, so it runs under the settings of the database and the role.
    if (!isEngines(first)) await tx.executeSql(theirs);
    for (const file of together) await applyFile(client, file, schema, before);
    await tx.executeSql(ours);
    const values = [together.map(({ id }) => id), together.map(({ checksum }) => checksum)];
    await tx.executeSql(
      `insert into waybill.migrations (id, checksum) select * from unnest($1::text[], $2::text[])`,
      values,
    );
    return together.map(({ id }) => id);
  };
  return inTransaction(client, apply, unlimited);
}

async function lock(tx: Executor, onWait?: () => void): Promise<void> {
  const { rows } = await tx.executeSql<{ got: boolean }>(
    `select pg_try_advisory_xact_lock(${lockKey}) as got`,
  );
  if (rows[0]?.got) return;
  onWait?.();
  await tx.executeSql(`select pg_advisory_xact_lock(${lockKey})`);
}

/** `create schema if not exists` needs the privilege to create schemas even when the schema exists. */
async function ready(tx: Executor, schema: Schema): Promise<void> {
  if (!schema.there) await tx.executeSql(`create schema waybill`);
  if (!schema.hasMigrations)
    await tx.executeSql(`create table waybill.migrations (
      id text primary key, checksum text not null, applied_at timestamptz not null default now())`);
}

const ownSchema = /^create schema if not exists waybill;$/m;

async function applyFile(
  client: pg.Client,
  file: File,
  schema: Schema,
  before: readonly string[],
): Promise<void> {
  const text = isEngines(file) ? file.text.replace(ownSchema, '') : file.text; // the schema exists by now
  const { error, tags } = await runScript(client, text);
  if (error === null) return;
  // Without an answer from the server, nothing shows that the file is wrong.
  const trouble = diagnose(error)?.condition;
  if (trouble !== undefined && !['privilege_missing', 'schema_missing'].includes(trouble)) throw error;
  const place = `${file.path}, line ${lineOf(text, error, tags.length)}`;
  const stands =
    before.length > 0 ? `; applied before it: ${before.join(', ')}` : '; nothing was applied before it';
  const hint =
    trouble === 'privilege_missing' ? '. The role lacks a privilege: grant it, or use the owner’s role' : '';
  throw new MigrationError(
    'migration_failed',
    `${place}: ${messageOf(error)}${hint}. Nothing of ${isEngines(file) && schema.there ? 'this version' : file.id} was applied${stands}`,
    { cause: error },
  );
}

/** @throws MigrationError when migrating is refused; nothing was changed */
async function pendingOf(db: Executor, files: readonly File[]): Promise<{ pending: File[]; schema: Schema }> {
  refuse(await serverRefusal(db));
  const schema = await readSchema(db);
  refuse(schema.refusal);
  const applied = schema.hasMigrations ? await appliedFiles(db) : new Map<string, string>();
  const wantsEngine = files.some(isEngines);
  if (wantsEngine && schema.relations.length > 0 && ![...applied.keys()].some(isOfEngine))
    refuse(unlisted(schema.relations));
  return { pending: unapplied(files, applied, schema), schema };
}

function refuse(refusal: Refusal | undefined): void {
  if (refusal) throw new MigrationError(refusal.code, refusal.message);
}

async function appliedFiles(db: Executor): Promise<Map<string, string>> {
  const { rows } = await db.executeSql<{ id: string; checksum: string }>(
    `select id, checksum from waybill.migrations`,
  );
  return new Map(rows.map((row) => [row.id, row.checksum]));
}

function unapplied(files: readonly File[], applied: ReadonlyMap<string, string>, schema: Schema): File[] {
  const known = new Set(files.map((file) => file.id));
  const prefixes = new Set(files.map((file) => file.id.split('/')[0]));
  const foreign = [...applied.keys()].filter((id) => prefixes.has(id.split('/')[0]) && !known.has(id));
  const older = ofOlderSchema(foreign, [...known].filter(isOfEngine));
  if (older !== undefined) throw olderSchema(older);
  if (foreign.length > 0)
    throw new MigrationError(
      'schema_newer',
      `the database has migrations that this version does not know (${foreign.join(', ')}): a newer version was released on it; deploy that one`,
    );
  for (const file of files) {
    const before = applied.get(file.id);
    if (before !== undefined && before !== file.checksum) {
      if (isOfEngine(file.id)) throw olderSchema(file.id); // in a released version these files do not change
      throw new MigrationError(
        'migration_changed',
        `${file.id} was changed after it was applied: restore the file and put the change into a new one`,
      );
    }
  }
  const pending = files.filter((file) => !applied.has(file.id));
  checkGaps(pending, applied, schema);
  return pending;
}

/** @param file a migration of the earlier version, or one with other text */
const olderSchema = (file: string): MigrationError =>
  new MigrationError(
    'schema_older',
    `the schema waybill of this database was made by an earlier version, with other migrations (${file}). This version starts with a new schema and does not convert that one. Nothing was changed. Let the earlier version deliver what waits, or export it; then drop the schema waybill in the way that docs/errors.md shows and release again, or use another database`,
  );

/**
 * Before the first release the engine had other files. One of them has the number of a file in this version; files of a newer version have higher
 * numbers.
 * @returns the first such file
 */
function ofOlderSchema(unknown: readonly string[], engine: readonly string[]): string | undefined {
  const last = engine.toSorted().at(-1) ?? '';
  return unknown.filter((id) => isOfEngine(id) && id < last).toSorted()[0];
}

/**
 * Refuses when an engine's file is not recorded although a later one is. Its row was deleted, and running it again would undo later changes. An
 * outbox made by the setup statements (createPostgresOutboxSetupStatements) has no fleet yet, and may lack files in between.
 */
function checkGaps(pending: readonly File[], applied: ReadonlyMap<string, string>, schema: Schema): void {
  if (!schema.relations.includes('processes')) return;
  const last = [...applied.keys()].filter(isOfEngine).toSorted().at(-1) ?? '';
  const gone = pending.filter((file) => isEngines(file) && file.id < last).map(({ id }) => id);
  if (gone.length === 0) return;
  throw new MigrationError(
    'migration_missing',
    `the table waybill.migrations does not name ${gone.join(', ')}, and names ${last}, which comes later: a row of it was deleted. Nothing was changed. Put the row back from a backup, with the checksum of the file`,
  );
}

/** What is wrong with the engine's migrations, as a sentence without text from the server. It takes one statement. */
export async function migrationsProblem(db: Executor): Promise<string | undefined> {
  const [engine] = standardSources('');
  const ids = namesIn(engine!).map((name) => `${engine!.name}/${name}`);
  const applied = (await db.executeSql<{ id: string }>(`select id from waybill.migrations`)).rows.map(
    ({ id }) => id,
  );
  const missing = ids.filter((id) => !applied.includes(id));
  const unknown = applied.filter((id) => !ids.includes(id));
  const older = ofOlderSchema(unknown, ids);
  if (older !== undefined)
    return `made by an earlier version (${older}), which this one does not convert: \`waybill release\` says what to do`;
  return missing.length > 0 ? `not applied: ${missing.join(', ')}: run \`waybill release\`` : undefined;
}

function namesIn({ dir }: MigrationSource): string[] {
  return readdirSync(dir)
    .filter((name) => name.endsWith('.sql'))
    .toSorted();
}

/** Statements that would end the transaction of the file. `savepoint` and `rollback to` do not. */
const endsTransaction =
  /^(?:commit|abort|rollback(?!\s+(?:work\s+|transaction\s+)?to\b)|begin|start\s+transaction)\b(?!\s+atomic)/i;

function readSource(source: MigrationSource): File[] {
  return namesIn(source).map((name) => {
    const path = relative(process.cwd(), join(source.dir, name));
    if (!/^\d{4}_[a-z0-9_]+\.sql$/.test(name))
      throw new MigrationError('migration_name', `${path}: a migration is called NNNN_name.sql`);
    const text = readFileSync(join(source.dir, name), 'utf8').replaceAll('\r\n', '\n');
    const ending =
      source.name === engineName
        ? undefined
        : statementsOf(text).find((one) => endsTransaction.test(one.text));
    if (ending)
      throw new MigrationError(
        'migration_transaction',
        `${path}, line ${ending.line}: each file is applied in a transaction of its own; take ${ending.text.slice(0, 20)} out`,
      );
    const checksum = createHash('sha256').update(text).digest('hex');
    return { id: `${source.name}/${name}`, path, text, checksum };
  });
}
