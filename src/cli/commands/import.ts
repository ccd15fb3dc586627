// `waybill import pg-boss|graphile-worker|bullmq|ndjson`: what is pending in another queue is recorded as messages, each job once.

import type { Command } from 'commander';
import { openDatabase } from '../../db/pool.ts';
import { readPostgresUrl } from '../../db/url.ts';
import { loadApp } from '../../define/load.ts';
import { createRegistry, type Registry } from '../../define/registry.ts';
import { recordAct } from '../../operate/audit.ts';
import { bullmqSource } from '../../transfer/bullmq.ts';
import { graphileWorkerTables } from '../../transfer/graphile-worker.ts';
import { importJobs, type ImportReport } from '../../transfer/import.ts';
import { readImportMap, writeImportMap, type ImportMap } from '../../transfer/import-map.ts';
import { lineMap, ndjsonSource } from '../../transfer/ndjson.ts';
import { pgBossTables } from '../../transfer/pg-boss.ts';
import { postgresSource } from '../../transfer/postgres-source.ts';
import { namingGrants } from '../../transfer/source-grants.ts';
import { sourceNames, type Source, type SourceName } from '../../transfer/source.ts';
import { nearest } from '../../nearest.ts';
import { actorOf, addActor, type ActorOptions } from '../actor.ts';
import { exitCodes, UsageError } from '../exit.ts';
import { interrupted, progress } from '../interruption.ts';
import { single, whole } from '../options.ts';
import { counted, print, say, type Output } from '../print.ts';
import { transferTimeout, withDatabase, type Session } from '../session.ts';
import { importLines } from '../transfer-lines.ts';
import { leaveLater } from './release.ts';

type Options = Output &
  ActorOptions & {
    readonly map?: string;
    readonly writeMap?: string;
    readonly from?: string;
    readonly schema?: string;
    readonly prefix?: string;
    readonly dryRun?: boolean;
    readonly strict?: boolean;
    readonly skipUnmapped?: boolean;
    readonly failed?: boolean;
    readonly limit?: number;
    readonly batchSize?: number;
  };

export function addImport(program: Command): void {
  addActor(program.command('import'))
    .description('record what is pending in another queue as messages, each job once')
    .argument('<source>', sourceNames.join(', '))
    .argument('[file]', 'of ndjson: the file that `waybill export` wrote')
    .option('--map <file>', 'the map from its queues to jobs, events and emails', single)
    .option('--write-map <file>', 'only begin such a map, with a row for each of its queues', single)
    .option('--from <url>', 'where it is: a Postgres (default: DATABASE_URL), or redis://…', single)
    .option('--schema <name>', 'its schema in Postgres (default: pgboss, graphile_worker)', single)
    .option('--prefix <text>', 'of BullMQ: the prefix of its keys (default: bull)', single)
    .option('--dry-run', 'only count and check; nothing is changed')
    .option('--strict', 'record nothing while a job does not fit')
    .option('--skip-unmapped', 'leave queues without a row in the map as they are')
    .option('--failed', 'also the jobs that it has given up, to be attempted again')
    .option('--limit <count>', 'at most so many jobs', whole)
    .option('--batch-size <count>', 'jobs of one batch, 1 to 5000 (default: 500)', whole)
    .action(async (source: string, file: string | undefined, options: Options) => {
      const name = checked(source, file, options);
      await withDatabase((session) => run(name, file, session, options), {
        statementTimeoutMs: transferTimeout,
      });
      leaveLater();
    });
}

/** @throws UsageError `unknown_source`, `import_options_invalid`, `map_required`, `file_required`, `invalid_from`, `invalid_batch_size` */
function checked(source: string, file: string | undefined, options: Options): SourceName {
  const name = sourceNames.find((one) => one === source);
  if (name === undefined) {
    const meant = nearest(source, sourceNames);
    throw new UsageError(
      'unknown_source',
      `there is no source ${JSON.stringify(source.slice(0, 40))}${meant ? `, was ${meant} meant?` : ';'} there are ${sourceNames.join(', ')}`,
    );
  }
  if ((name === 'ndjson') !== (file !== undefined))
    throw new UsageError('file_required', 'a file belongs to ndjson: waybill import ndjson FILE');
  checkBelongs(name, options);
  if (name !== 'ndjson' && options.map === undefined && options.writeMap === undefined)
    throw new UsageError(
      'map_required',
      `an import needs a map from its queues to your jobs: begin one with --write-map ${name}.json`,
    );
  checkPlace(name, options);
  const { batchSize = 1, limit = 1 } = options;
  if (batchSize < 1 || batchSize > 5_000 || limit < 1)
    throw new UsageError('invalid_batch_size', '--batch-size must be from 1 to 5000, and --limit at least 1');
  return name;
}

const databases = ['pg-boss', 'graphile-worker'] as const;
const libraries = [...databases, 'bullmq'] as const;

/** Options that not every source takes. */
const sourcesOf: Partial<Record<keyof Options, readonly SourceName[]>> = {
  from: libraries,
  map: libraries,
  writeMap: libraries,
  skipUnmapped: libraries,
  failed: libraries,
  schema: databases,
  prefix: ['bullmq'],
};

const ofImports = ['map', 'dryRun', 'strict', 'skipUnmapped', 'failed', 'limit', 'batchSize'] as const;

/** Without this, an option that does nothing would look as if it did. */
function checkBelongs(name: SourceName, options: Options): void {
  const flag = (option: string): string => `--${option.replaceAll(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;
  const wrong = (why: string): never => {
    throw new UsageError('import_options_invalid', why);
  };
  for (const [option, sources] of Object.entries(sourcesOf) as [keyof Options, readonly SourceName[]][])
    if (options[option] !== undefined && !sources.includes(name))
      wrong(`${flag(option)} is not for ${name}, only for ${sources.join(', ')}`);
  const other = options.writeMap && ofImports.find((option) => options[option] !== undefined);
  if (other) wrong(`--write-map only begins a map: leave ${flag(other)} out, and give it with --map`);
}

/** The message never has the URL, which may have a password. */
function checkPlace(name: SourceName, { from }: Options): void {
  if (name === 'bullmq') {
    if (from === undefined || !/^rediss?:\/\/./.test(from))
      throw new UsageError('invalid_from', 'say where the Redis of BullMQ is: --from redis://host:6379');
    return;
  }
  const url = from === undefined ? undefined : readPostgresUrl(from);
  if (url !== undefined && 'problem' in url) throw new UsageError('invalid_from', `--from ${url.problem}`);
}

async function run(
  name: SourceName,
  file: string | undefined,
  session: Session,
  options: Options,
): Promise<void> {
  const registry = createRegistry(await loadApp(session.config.app));
  const source = await open(name, file, session, options);
  try {
    if (options.writeMap !== undefined) return await begin(source, registry, options.writeMap, options);
    const map =
      options.map === undefined ? lineMap(await source.survey()) : readImportMap(options.map, registry);
    const report = await imported(source, session, { registry, map }, options).catch(async (error) => {
      await sayHeld(source);
      throw error;
    });
    print(report, options, importLines);
    process.exitCode = exitCodeOf(report);
    if (report.end === 'stopped')
      say(`stopped: ${report.dryRun ? 'nothing was changed' : 'the same command goes on where it was'}`);
  } finally {
    await source.close();
  }
}

async function open(
  name: SourceName,
  file: string | undefined,
  { config, db }: Session,
  { from, schema, prefix }: Options,
): Promise<Source> {
  if (name === 'bullmq') return bullmqSource(from!, prefix);
  if (name === 'ndjson') return ndjsonSource(file!);
  const tables = name === 'pg-boss' ? pgBossTables(schema) : graphileWorkerTables(schema);
  if (from === undefined || from === config.databaseUrl) return postgresSource(tables, { db, isHere: true });
  const theirs = openDatabase({
    url: from,
    setting: '--from',
    max: 2,
    use: 'ours',
    applicationName: 'waybill import',
    statementTimeoutMs: transferTimeout,
    onIdleError: (error) => say(`the connection to the source broke: ${error.message}`),
  });
  return postgresSource(tables, { db: namingGrants(theirs, tables.schema), isHere: false });
}

async function begin(source: Source, registry: Registry, file: string, options: Options): Promise<void> {
  const survey = await source.survey();
  const found = survey.queues.filter(({ pending, failed }) => pending + failed > 0);
  writeImportMap(file, found, registry);
  print({ file, queues: found }, options, () => [
    `${file} has ${found.length === 1 ? 'a row for one queue' : `a row for each of ${found.length} queues`}: fill in the names, or write { "skip": "why" }`,
  ]);
}

async function imported(
  source: Source,
  { config, db }: Session,
  { registry, map }: { readonly registry: Registry; readonly map: ImportMap },
  options: Options,
): Promise<ImportReport> {
  const { maxPayloadBytes, payloadKeys, emailFrom } = config;
  const {
    dryRun = false,
    strict = false,
    skipUnmapped = false,
    failed = false,
    limit,
    batchSize = 500,
  } = options;
  const { signal, stop } = interrupted();
  const about = { source: source.name, map: options.map ?? null, failed, limit: limit ?? null };
  if (!dryRun)
    await recordAct(db, actorOf(options), { act: 'messages.import', target: source.name, detail: about });
  try {
    const report = await importJobs(
      source,
      { source: source.name, map, registry, maxPayloadBytes, emailFrom },
      { source: source.name, db, maxPayloadBytes, payloadKeys },
      {
        dryRun,
        strict,
        skipUnmapped,
        failed,
        limit,
        batchSize,
        signal,
        onProgress: options.json ? () => undefined : progress(dryRun ? 'checked' : 'imported'),
      },
    );
    const { imported: count, already, end } = report;
    const detail = { ...about, end, already, misfits: report.misfits.count };
    if (!dryRun)
      await recordAct(db, actorOf(options), { act: 'messages.import', target: source.name, count, detail });
    return report;
  } finally {
    stop();
  }
}

/** Of an import that failed: no worker of the source finds its batch, and people must know that it is not lost. */
async function sayHeld(source: Source): Promise<void> {
  const held = await source.survey().then(
    (survey) => survey.held,
    () => 0, // the error of the import says why
  );
  if (held > 0)
    say(`${counted(held, 'job is', 'jobs are')} held by the import, and not lost: the same command goes on`);
}

/** A limit that was reached leaves jobs, as it was told to. */
function exitCodeOf({ end, misfits, held, left, dryRun }: ImportReport): number {
  if (end === 'stopped') return exitCodes.failed;
  const stayed = !dryRun && (held > 0 || (left > 0 && end === 'done'));
  return misfits.count > 0 || stayed ? exitCodes.findings : exitCodes.ok;
}
