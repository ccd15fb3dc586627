// `waybill make KIND NAME`: writes a definition with its test into the application's folder and lists it in the module. All texts are computed
// first. Then the two new files are written, and the module last; if that fails, the new files are removed.

import { existsSync, rmSync } from 'node:fs';
import { join, posix } from 'node:path';
import type { Command } from 'commander';
import { nearest } from '../../nearest.ts';
import { WaybillError } from '../../errors.ts';
import { definitionsOf, propertyOfKind, type DefinitionKind } from '../../scaffold/definitions.ts';
import { endingOf, readModule, register, type Entry } from '../../scaffold/module.ts';
import { namingOf, type Naming } from '../../scaffold/naming.ts';
import { madeOf, type Heard, type Place } from '../../scaffold/template.ts';
import {
  fileExists,
  importPath,
  readApplication,
  readSources,
  replaceFile,
  usualEnding,
  writeNew,
  type Application,
} from '../application.ts';
import { UsageError } from '../exit.ts';
import { single } from '../options.ts';
import { print, type Output } from '../print.ts';

type Options = Output & { readonly event?: string; readonly dryRun?: boolean };

const kinds = Object.keys(propertyOfKind) as DefinitionKind[];

export function addMake(program: Command): void {
  program
    .command('make')
    .description('write a definition and its test, and register it')
    .argument('<kind>', kinds.join(', '))
    .argument('<name>', 'such as orders.place')
    .option('--event <event>', 'of a listener: the event that it listens to', single)
    .option('--dry-run', 'only say what would be written')
    .action(make);
}

type Known = { kind: DefinitionKind; name: string; variable: string | null; exported: boolean; file: string };

function make(given: string, name: string, options: Options): void {
  const kind = kindOf(given);
  if (options.event !== undefined && kind !== 'listener')
    throw new UsageError('event_without_listener', '--event is for listeners only');
  const naming = namingOf(kind, name);
  const app = readApplication(process.env);
  const module = readModule(app.file, app.text);
  const known = knownIn(app);
  refuseTaken(kind, naming, known);
  const place = placeOf(module.library, endingOf(module, usualEnding()));
  const heard = kind === 'listener' ? heardBy(app, known, options.event) : undefined;
  const code = join(app.folder, `${naming.file}.ts`);
  const test = join(app.folder, `${naming.file}.test.ts`);
  for (const path of [code, test]) if (existsSync(path)) throw fileExists(path);
  const made = madeOf(kind, naming, place, heard?.event);
  const crons = known.flatMap((one) => (one.kind === 'cron' && one.variable ? [one.variable] : []));
  const entries = entriesOf(kind, naming, importPath(app.file, code, place.ending));
  const text = register(app.file, app.text, entries, crons);
  const files = [
    { path: code, text: made.source },
    { path: test, text: made.test },
  ];
  if (!options.dryRun) write(app, files, text);
  const report = {
    kind,
    name,
    dryRun: options.dryRun === true,
    made: [code, test],
    changed: [app.file],
    notes: heard?.note ? [heard.note] : [],
  };
  const would = options.dryRun ? 'would be ' : '';
  print(report, options, () => [
    ...report.made.map((path) => `${would}made: ${path}`),
    `${would}changed: ${app.file} lists ${entries.map((entry) => `${entry.name} in ${entry.property}`).join(', ')}`,
    ...report.notes,
  ]);
}

function kindOf(given: string): DefinitionKind {
  const kind = kinds.find((one) => one === given);
  if (kind) return kind;
  const meant = nearest(given, kinds);
  const hint = meant ? `, did you mean ${meant}?` : ':';
  throw new UsageError(
    'unknown_kind_to_make',
    `there is no kind ${JSON.stringify(given.slice(0, 60))}${hint} there are ${kinds.join(', ')}`,
  );
}

function knownIn({ folder }: Application): Known[] {
  return readSources(folder).sources.flatMap((source) =>
    definitionsOf(source).flatMap(({ kind, names, variable, exported }) =>
      names.map((name) => ({ kind, name, variable, exported, file: source.file })),
    ),
  );
}

function refuseTaken(kind: DefinitionKind, { name }: Naming, known: readonly Known[]): void {
  const same = kind === 'cron' ? ['cron', 'action'] : [kind];
  const taken = known.find((one) => same.includes(one.kind) && one.name === name);
  if (taken) throw new UsageError('name_taken', `there is ${taken.kind} ${name} already, in ${taken.file}`);
}

function placeOf(library: string, ending: string): Place {
  const beside = posix.join(posix.dirname(library), `testing${posix.extname(library)}`);
  return { library, ending, testing: library.startsWith('.') ? beside : `${library}/testing` };
}

/** The event given by its name or by its constant's name; without one, the application's first event. */
function heardBy(
  { file }: Application,
  known: readonly Known[],
  asked: string | undefined,
): { readonly event: Heard; readonly note: string | null } {
  const events = known.filter((one) => one.kind === 'event' && one.exported);
  const names = events.map(({ name }) => name);
  const found =
    asked === undefined ? events[0] : events.find((one) => [one.name, one.variable].includes(asked));
  if (!found?.variable) {
    const meant = asked === undefined ? undefined : nearest(asked, names);
    const why =
      events.length === 0
        ? 'no event is defined yet: `waybill make event NAME` first'
        : `no event ${asked} is defined${meant ? `, was ${meant} meant?` : ':'} there are ${names.join(', ')}`;
    throw new UsageError('event_not_defined', why);
  }
  const unsaid = asked === undefined && events.length > 1;
  return {
    event: { name: found.name, variable: found.variable, file: importPath(file, found.file, '').slice(2) },
    note: unsaid
      ? `it listens to ${found.name}, the first of ${events.length} events: --event names another`
      : null,
  };
}

function entriesOf(kind: DefinitionKind, { variable }: Naming, from: string): Entry[] {
  const one = { property: propertyOfKind[kind], name: variable, from };
  if (kind !== 'cron') return [one];
  return [
    { ...one, property: 'actions' },
    { ...one, name: `${variable}Cron` },
  ];
}

function write(app: Application, files: readonly { path: string; text: string }[], text: string): void {
  writeNew(files);
  try {
    replaceFile(app.file, text);
  } catch (error) {
    for (const { path } of files) rmSync(path);
    throw new WaybillError('file_not_written', `${app.file} cannot be written: ${(error as Error).message}`);
  }
}
