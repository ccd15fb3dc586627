// sql/*.sql: each file once, in order, under a lock, its checksum kept. Forward only.

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Executor } from './executor.ts';
import type { Database } from './pool.ts';
import { defaultSettings, localSettings, settingsOf } from './settings.ts';

/** A folder of `NNNN_name.sql` files; `name` keeps the application's files apart from the engine's. */
export type MigrationSource = { readonly name: string; readonly dir: string };

export type MigrationReport = { readonly applied: string[]; readonly pending: string[] };

export class MigrationError extends Error {
  override readonly name = 'MigrationError';
  /** `migration_changed`, `schema_newer`, `migration_failed`, `migration_name` */
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

type File = { readonly id: string; readonly text: string; readonly checksum: string };

/** The engine's `sql/` and, beside the application's module, its own `sql/`. */
export function standardSources(appModule: string): MigrationSource[] {
  const engine = { name: 'waybill', dir: fileURLToPath(new URL('../../sql', import.meta.url)) };
  const own = join(dirname(resolve(appModule)), 'sql');
  return existsSync(own) ? [engine, { name: 'app', dir: own }] : [engine];
}

/**
 * Applies what is not applied yet, each file in a transaction of its own. Two runs at once: the second waits, then finds nothing to do.
 * @throws MigrationError when an applied file was changed, when the database knows files that this version does not, or when a file fails
 */
export async function migrate(
  db: Database,
  sources: readonly MigrationSource[],
  options: { readonly dryRun?: boolean } = {},
): Promise<MigrationReport> {
  const files = sources.flatMap(readSource);
  const report: MigrationReport = { applied: [], pending: [] };
  if (options.dryRun) {
    report.pending.push(...unapplied(files, await appliedFiles(db)).map((f) => f.id));
    return report;
  }
  for (;;) {
    const done = await applyNext(db, files);
    if (done === undefined) return report;
    report.applied.push(done);
  }
}

const ours = localSettings(settingsOf('ours'));
const theirs = defaultSettings(settingsOf('ours'));

// One file, one transaction, one transaction-level lock: right behind a transaction pooler too.
async function applyNext(db: Database, files: readonly File[]): Promise<string | undefined> {
  return db.transaction(async (tx) => {
    await tx.executeSql(`set local statement_timeout = 0; set local lock_timeout = 0; ${ours}`);
    await tx.executeSql(`select pg_advisory_xact_lock(hashtextextended('waybill migrations', 0))`);
    await tx.executeSql(`create schema if not exists waybill`);
    await tx.executeSql(`create table if not exists waybill.migrations (
      id text primary key, checksum text not null, applied_at timestamptz not null default now())`);
    const next = unapplied(files, await appliedFiles(tx))[0];
    if (next === undefined) return undefined;
    try {
      // An application's file means its own schemas: it runs under what the database and the role are set to.
      if (!next.id.startsWith('waybill/')) await tx.executeSql(theirs);
      await tx.executeSql(next.text);
    } catch (error) {
      throw new MigrationError('migration_failed', `${next.id}: ${(error as Error).message}`, {
        cause: error,
      });
    }
    await tx.executeSql(ours);
    await tx.executeSql(`insert into waybill.migrations (id, checksum) values ($1, $2)`, [
      next.id,
      next.checksum,
    ]);
    return next.id;
  });
}

async function appliedFiles(db: Executor): Promise<Map<string, string>> {
  const { rows: there } = await db.executeSql<{ there: boolean }>(
    `select to_regclass('waybill.migrations') is not null as there`,
  );
  if (!there[0]?.there) return new Map();
  const { rows } = await db.executeSql<{ id: string; checksum: string }>(
    `select id, checksum from waybill.migrations`,
  );
  return new Map(rows.map((row) => [row.id, row.checksum]));
}

function unapplied(files: readonly File[], applied: ReadonlyMap<string, string>): File[] {
  const known = new Set(files.map((file) => file.id));
  const prefixes = new Set(files.map((file) => file.id.split('/')[0]));
  const foreign = [...applied.keys()].filter((id) => prefixes.has(id.split('/')[0]) && !known.has(id));
  if (foreign.length > 0)
    throw new MigrationError(
      'schema_newer',
      `the database has migrations that this version does not know (${foreign.join(', ')}): a newer version was released on it; deploy that one`,
    );
  for (const file of files) {
    const before = applied.get(file.id);
    if (before !== undefined && before !== file.checksum)
      throw new MigrationError(
        'migration_changed',
        `${file.id} was changed after it was applied: restore the file and put the change into a new one`,
      );
  }
  return files.filter((file) => !applied.has(file.id));
}

/** The engine's migrations that the database does not have. One statement. */
export async function missingMigrations(db: Executor): Promise<string[]> {
  const [engine] = standardSources('');
  const sql = `select id from unnest($1::text[]) as id where id not in (select id from waybill.migrations)`;
  const ids = namesIn(engine!).map((name) => `${engine!.name}/${name}`);
  return (await db.executeSql<{ id: string }>(sql, [ids])).rows.map(({ id }) => id);
}

function namesIn({ dir }: MigrationSource): string[] {
  return readdirSync(dir)
    .filter((name) => name.endsWith('.sql'))
    .toSorted();
}

function readSource(source: MigrationSource): File[] {
  return namesIn(source).map((name) => {
    if (!/^\d{4}_[a-z0-9_]+\.sql$/.test(name))
      throw new MigrationError(
        'migration_name',
        `${join(source.dir, name)}: a migration is called NNNN_name.sql`,
      );
    const text = readFileSync(join(source.dir, name), 'utf8').replaceAll('\r\n', '\n');
    return { id: `${source.name}/${name}`, text, checksum: createHash('sha256').update(text).digest('hex') };
  });
}
