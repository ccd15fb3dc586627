// `waybill doctor [--fix]`: finds problems in sources, configuration and database. `--fix` edits sources only. A new process then checks again,
// because this one has the application's old modules.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { text as textOf } from 'node:stream/consumers';
import type { Command } from 'commander';
import type { App } from '../../define/app.ts';
import { horizonLine, horizonsOf, type Horizon } from '../../define/cron/horizon.ts';
import { loadApp } from '../../define/load.ts';
import { WaybillError } from '../../errors.ts';
import { reasonOf } from '../../redaction/reason.ts';
import { definitionsOf } from '../../scaffold/definitions.ts';
import { edited } from '../../scaffold/edit.ts';
import { problem, type Finding } from '../../scaffold/finding.ts';
import { inspect, inspectApp, type SourceFinding } from '../../scaffold/inspection.ts';
import { endingOf, readModule, register, type AppModule } from '../../scaffold/module.ts';
import {
  importPath,
  readApplication,
  readSources,
  replaceFile,
  usualEnding,
  type Application,
  type Sources,
} from '../application.ts';
import type { Config } from '../../config/config.ts';
import { exitCodes } from '../exit.ts';
import {
  configOrFindings,
  inspectConfig,
  inspectCron,
  inspectDatabases,
  inspectKeys,
  type DatabaseFindings,
} from '../inspection.ts';
import { inspectMail, wayOfMail } from '../mail-inspection.ts';
import { print, type Output } from '../print.ts';
import { leaveLater } from './release.ts';

type Options = Output & { readonly fix?: boolean };
type Report = {
  readonly fixed: readonly string[];
  readonly findings: readonly Finding[];
  /** What concerns one of several databases; absent with one. */
  readonly databases?: DatabaseFindings['databases'];
  /** How mail is sent, as far as the configuration says. */
  readonly mail: string | null;
  /** How long the messages of each definition are tried. */
  readonly horizons: readonly Horizon[];
};

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('find what is wrong with sources, configuration and database')
    .option('--fix', 'register definitions and declare events in the sources, where that can be done')
    .action(async (options: Options) => {
      const report = await (options.fix ? fix() : diagnose());
      print(report, options, lines);
      if (allOf(report).some(({ severity }) => severity === 'problem')) process.exitCode = exitCodes.findings;
      leaveLater();
    });
}

type Seen = {
  readonly at: Application;
  readonly read: Sources;
  readonly module: AppModule | null;
  readonly app: App | null;
  readonly inSources: readonly SourceFinding[];
  readonly others: readonly Finding[];
};

async function diagnose(): Promise<Report> {
  const { app, inSources, others } = await look();
  const configured = configOrFindings(process.env);
  const around = Array.isArray(configured)
    ? { findings: configured, databases: [] }
    : await inspectAround(configured, app);
  const { databases } = around;
  return {
    fixed: [],
    findings: [...inSources.map(({ finding }) => finding), ...others, ...around.findings],
    ...(databases.length > 0 && { databases }),
    mail: Array.isArray(configured) ? null : wayOfMail(configured, app),
    horizons: app ? horizonsOf(app) : [],
  };
}

async function inspectAround(config: Config, app: App | null): Promise<DatabaseFindings> {
  const { findings, databases } = await inspectDatabases(config, app);
  return {
    databases,
    findings: [
      ...inspectConfig(config),
      ...(app ? [...inspectKeys(config, app), ...inspectCron(config, app)] : []),
      ...findings,
      ...(await inspectMail(config, app)),
    ],
  };
}

async function look(): Promise<Seen> {
  const at = readApplication(process.env);
  const read = readSources(at.folder);
  const others = read.broken.map(({ file, message }) => problem('source_unreadable', message, { file }));
  const app = await loadApp(at.file).catch((error: unknown) => {
    const message = `the application does not load: ${reasonOf(error, { bare: true })}`;
    others.push(problem('app_not_loaded', message, { file: at.file }));
    return null;
  });
  const module = moduleOf(at);
  const ending = module ? endingOf(module, usualEnding()) : '';
  const pathTo = (file: string): string => importPath(at.file, file, ending);
  const inSources = inspect({ file: at.file, sources: read.sources, module, app, pathTo });
  return { at, read, module, app, inSources, others: [...others, ...(app ? inspectApp(app) : [])] };
}

function moduleOf({ file, text }: Application): AppModule | null {
  try {
    return readModule(file, text);
  } catch (error) {
    if (error instanceof WaybillError) return null; // the reason is reported when --fix tries to edit the module
    throw error;
  }
}

async function fix(): Promise<Report> {
  const seen = await look();
  const before = new Map<string, string>();
  const change = (file: string, make: (text: string) => string): void => {
    const text = readFileSync(file, 'utf8');
    const made = make(text);
    if (made === text) return;
    if (!before.has(file)) before.set(file, text);
    replaceFile(file, made);
  };
  const declared = declareEvents(seen.inSources, change);
  const { fixed, refused } = registerAll(seen, change);
  const after = await afresh();
  const broke = seen.app && after.findings.find(({ code }) => code === 'app_not_loaded');
  if (!broke) return { ...after, fixed: [...declared, ...fixed], findings: [...refused, ...after.findings] };
  for (const [file, text] of before) replaceFile(file, text);
  const undone = problem('fix_undone', `nothing was changed, for with the fixes ${broke.message}`);
  const again = await afresh();
  return { ...again, fixed: [], findings: [undone, ...again.findings] };
}

type Change = (file: string, make: (text: string) => string) => void;

/** All edits of a file at once, because their offsets refer to the text that was read. */
function declareEvents(found: readonly SourceFinding[], change: Change): string[] {
  const declaring = found.flatMap(({ finding, repair }) =>
    repair && 'edits' in repair ? [{ ...repair, mended: mended(finding) }] : [],
  );
  for (const [file, ofFile] of Map.groupBy(declaring, (one) => one.file)) {
    const edits = ofFile.flatMap((one) => one.edits);
    change(file, (text) => edited(text, edits));
  }
  return declaring.map((one) => one.mended);
}

/** One after the other, because each edit starts from the text of the previous one. */
function registerAll(seen: Seen, change: Change): { fixed: string[]; refused: Finding[] } {
  const fixed: string[] = [];
  const refused: Finding[] = [];
  const { file } = seen.at;
  for (const { finding, repair } of seen.inSources) {
    if (repair === null || !('entry' in repair)) continue;
    try {
      change(file, (text) => register(file, text, [repair.entry], cronsOf(seen)));
      fixed.push(mended(finding));
    } catch (error) {
      if (!(error instanceof WaybillError)) throw error;
      refused.push(problem('fix_refused', error.message, { file }));
    }
  }
  return { fixed, refused };
}

function mended({ message, file }: Finding): string {
  return `mended: ${file}: ${message}`;
}

function cronsOf({ read }: Seen): string[] {
  return read.sources
    .flatMap(definitionsOf)
    .flatMap(({ kind, variable }) => (kind === 'cron' && variable ? [variable] : []));
}

async function afresh(): Promise<Report> {
  const args = [...process.execArgv, process.argv[1] ?? '', 'doctor', '--json'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [stdout] = await Promise.all([textOf(child.stdout), once(child, 'close')]);
  return JSON.parse(stdout) as Report;
}

/** As people read them: those of a database begin with its name. */
const allOf = ({ findings, databases = [] }: Report): readonly Finding[] => [
  ...findings,
  ...databases.flatMap(({ database, findings: its }) =>
    its.map((one) => ({ ...one, message: `${database}: ${one.message}` })),
  ),
];

function lines(report: Report): string[] {
  const { fixed, mail, horizons } = report;
  const place = ({ file, line }: Finding): string => (file ? `${file}${line ? `:${line}` : ''}: ` : '');
  const shown = allOf(report).flatMap((one) => [
    `${one.severity}: ${place(one)}${one.message} (${one.code})`,
    ...(one.fix ? [`  ${one.fix}`] : []),
  ]);
  return [
    ...fixed,
    ...(mail === null ? [] : [mail]),
    ...horizons.map(horizonLine),
    ...(shown.length > 0 ? shown : ['nothing is wrong']),
  ];
}
