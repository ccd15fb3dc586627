// `waybill export`: waiting messages as lines of JSON, or as jobs of pg-boss.

import { Option, type Command } from 'commander';
import { loadApp } from '../../define/load.ts';
import { createRegistry } from '../../define/registry.ts';
import { recordAct, whoText } from '../../operate/audit.ts';
import { parseFilter } from '../../operate/filter.ts';
import {
  exportMessages,
  type ExportOptions,
  type ExportReport,
  type Receiver,
} from '../../transfer/export.ts';
import { readImportMap, type ImportMap } from '../../transfer/import-map.ts';
import { hasTwins, pgBossReceiver, targetOf } from '../../transfer/into-pg-boss.ts';
import { openLineFile, streamReceiver } from '../../transfer/ndjson-file.ts';
import { actorOf, addActor, type ActorOptions } from '../actor.ts';
import { exitCodes, UsageError } from '../exit.ts';
import { addFilter, filterOf, isFiltered, type FilterOptions } from '../filter.ts';
import { interrupted, progress } from '../interruption.ts';
import { single, whole } from '../options.ts';
import { print, say, writeLines, type Output } from '../print.ts';
import { transferTimeout, withDatabase, type Session } from '../session.ts';
import { exportLines } from '../transfer-lines.ts';
import { leaveLater } from './release.ts';

const formats = ['ndjson', 'pg-boss'] as const;

type Options = Output &
  ActorOptions &
  FilterOptions & {
    readonly format: (typeof formats)[number];
    readonly all?: boolean;
    readonly out?: string;
    readonly append?: boolean;
    readonly remove?: boolean;
    readonly openSealed?: boolean;
    readonly schema?: string;
    readonly map?: string;
    readonly dryRun?: boolean;
    readonly limit?: number;
    readonly batchSize?: number;
  };

export function addExport(program: Command): void {
  addFilter(addActor(program.command('export')))
    .description('write waiting messages as lines of JSON, or turn them into jobs of pg-boss')
    .addOption(
      new Option('--format <format>', 'ndjson: lines of JSON; pg-boss: jobs in this database')
        .choices(formats)
        .makeOptionMandatory(),
    )
    .option('--all', 'every message that waits; without it, a filter says which')
    .option('--out <file>', 'of ndjson: a new file (default: stdout)', single)
    .option('--append', 'go on with the file of an interrupted export')
    .option('--remove', 'of ndjson with --out: cancel each message that was written')
    .option('--open-sealed', 'open the payloads of sensitive messages with WAYBILL_PAYLOAD_KEYS')
    .option('--schema <name>', 'of pg-boss: its schema (default: pgboss)', single)
    .option('--map <file>', 'of pg-boss: the map of the import, for the names of its queues', single)
    .option('--dry-run', 'only count what would be exported')
    .option('--limit <count>', 'at most so many messages', whole)
    .option('--batch-size <count>', 'messages of one batch, 1 to 5000 (default: 500)', whole)
    .action(async (options: Options) => {
      check(options);
      const report = await withDatabase((session) => run(session, options), {
        statementTimeoutMs: transferTimeout,
      });
      conclude(report, options);
      leaveLater();
    });
}

/** @throws UsageError `filter_required`, `export_options_invalid`, `invalid_batch_size` */
function check({
  format,
  out,
  append,
  remove,
  all,
  schema,
  map,
  batchSize = 1,
  limit = 1,
  json,
  ...rest
}: Options): void {
  if (!all && !isFiltered(rest))
    throw new UsageError('filter_required', 'say which messages: --all, or a filter');
  if (all && isFiltered(rest))
    throw new UsageError('export_options_invalid', 'give either --all or a filter');
  const refuse = (why: string): never => {
    throw new UsageError('export_options_invalid', why);
  };
  if (format === 'pg-boss' && (out ?? append ?? remove) !== undefined)
    refuse(
      '--out, --append and --remove are for --format ndjson: messages that become jobs of pg-boss always leave',
    );
  if (format === 'ndjson' && (schema ?? map) !== undefined)
    refuse('--schema and --map are for --format pg-boss');
  if ((remove || append) && out === undefined) refuse('--remove and --append need a file: --out FILE');
  if (format === 'ndjson' && json && out === undefined && !rest.dryRun)
    refuse('stdout has the lines: with --json, give --out FILE');
  if (batchSize < 1 || batchSize > 5_000 || limit < 1)
    throw new UsageError('invalid_batch_size', '--batch-size must be from 1 to 5000, and --limit at least 1');
}

/** Of lines on stdout, the report goes to stderr. */
function conclude(report: ExportReport, options: Options): void {
  const lines = exportLines(report, leaves(options));
  if (options.format === 'ndjson' && options.out === undefined && !options.dryRun)
    for (const one of lines) say(one);
  else print(report, options, () => lines);
  if (report.end === 'stopped') say(stoppedText(report, options));
  if (report.end === 'stopped') process.exitCode = exitCodes.failed;
  else if (Object.keys(report.stayed).length > 0) process.exitCode = exitCodes.findings;
}

function stoppedText({ dryRun }: ExportReport, { format, out, append }: Options): string {
  if (dryRun) return 'stopped: nothing was changed';
  if (format === 'pg-boss') return 'stopped: the same command goes on with what still waits';
  return out === undefined
    ? 'stopped: stdout has only a part of the lines'
    : `stopped: ${append ? 'the same command' : 'the same command with --append'} goes on with what still waits`;
}

const leaves = ({ format, remove = false }: Options): boolean => format === 'pg-boss' || remove;

async function run(session: Session, options: Options): Promise<ExportReport> {
  const { db, config } = session;
  const { dryRun = false, openSealed: open = false, limit, batchSize = 500 } = options;
  const filter = parseFilter(filterOf(options));
  const { receiver, map, close } = await opened(session, options);
  const { signal, stop } = interrupted();
  const exporting: ExportOptions = {
    filter,
    dryRun,
    open,
    limit,
    batchSize,
    signal,
    removes: leaves(options),
    takesSealed: options.format === 'ndjson',
    payloadKeys: config.payloadKeys,
    onProgress: options.json ? () => undefined : progress('exported'),
  };
  const about = { format: options.format, removes: leaves(options), openSealed: open };
  await checkMap(session, map, exporting);
  const act = { act: 'messages.export', target: options.format, filter: filterOf(options) } as const;
  if (!dryRun) await recordAct(db, actorOf(options), { ...act, detail: about });
  let isDone = false;
  try {
    const report = await exportMessages(db, receiver, exporting);
    isDone = report.exported > 0 || Object.keys(report.stayed).length === 0; // the same command can make the file
    const detail = { ...about, end: report.end };
    if (!dryRun) await recordAct(db, actorOf(options), { ...act, count: report.exported, detail });
    return report;
  } finally {
    stop();
    await close(isDone);
  }
}

/** Where two rows of the map have one message, looks at all messages before the first one is changed. @throws WaybillError `import_map_ambiguous` */
async function checkMap(
  { db }: Session,
  map: ImportMap | undefined,
  exporting: ExportOptions,
): Promise<void> {
  if (map === undefined || !hasTwins(map)) return;
  const looks: Receiver = {
    async take(messages) {
      for (const message of messages) targetOf(message, map);
      return [];
    },
  };
  await exportMessages(db, looks, { ...exporting, dryRun: true, open: false, onProgress: () => undefined });
}

type Opened = {
  readonly receiver: Receiver;
  readonly map?: ImportMap | undefined;
  /** @param isDone false: the export failed */
  close(isDone: boolean): Promise<void>;
};

async function opened({ db, config }: Session, options: Options): Promise<Opened> {
  const { dryRun = false, schema = 'pgboss' } = options;
  const by = whoText(actorOf(options));
  if (options.format === 'pg-boss') {
    const registry = options.map === undefined ? undefined : createRegistry(await loadApp(config.app));
    const map = registry && readImportMap(options.map!, registry);
    const receiver = await pgBossReceiver({
      db,
      schema,
      dryRun,
      by,
      map,
      onQueue: (name) =>
        say(`pg-boss has no queue ${name}: it ${dryRun ? 'would be' : 'is'} made with its defaults`),
      onError: (error) => say(`pg-boss: ${error.message}`),
    });
    return { receiver, map, close: () => receiver.close() };
  }
  if (dryRun) return { receiver: streamReceiver(async () => undefined, by), close: async () => undefined };
  if (options.out === undefined)
    return { receiver: streamReceiver(writeLines, by), close: async () => undefined };
  const file = openLineFile(options.out, options.append === true);
  if (file.cut > 0)
    say(
      `${options.out} ended in half a line, which was cut off (${file.cut} bytes): its message still waits here`,
    );
  const receiver = streamReceiver((text) => file.write(text), by);
  return { receiver, close: async (isDone) => file.close(isDone) };
}
