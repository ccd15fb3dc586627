// The inspection of an application's sources: unregistered definitions, undeclared events, and the edits that fix both. Registration is read from
// the loaded application, or else from its module's text.

import type { App } from '../define/app.ts';
import { definitionsOf, propertyOfKind, undeclaredEvents, type Definition } from './definitions.ts';
import type { Edit } from './edit.ts';
import type { Finding } from './finding.ts';
import { listedIn, type AppModule, type Entry } from './module.ts';
import type { Source } from './source.ts';

export type Inspected = {
  /** Path of the application's module. */
  readonly file: string;
  readonly sources: readonly Source[];
  /** Null when its structure is not understood. */
  readonly module: AppModule | null;
  /** Null when it does not load. */
  readonly app: App | null;
  /** The module's import path for another source. */
  readonly pathTo: (file: string) => string;
};

/** How to fix a finding: an entry to add to the module, or edits of the finding's file. */
export type Repair = { readonly entry: Entry } | { readonly file: string; readonly edits: readonly Edit[] };

export type SourceFinding = { readonly finding: Finding; readonly repair: Repair | null };

export function inspect(inspected: Inspected): SourceFinding[] {
  return [...unregistered(inspected), ...inspected.sources.flatMap(undeclared)];
}

function unregistered(inspected: Inspected): SourceFinding[] {
  return inspected.sources.flatMap((source) =>
    definitionsOf(source)
      .filter((definition) => isRegistered(inspected, source, definition) === false)
      .map((definition) => unregisteredFinding(inspected, source, definition)),
  );
}

/** Undefined when unknown, as for a computed name without a constant. */
function isRegistered(
  { app, module, file, pathTo }: Inspected,
  source: Source,
  { kind, names, variable }: Definition,
): boolean | undefined {
  if (app && names.length > 0) {
    const there = (kind === 'cron' ? app.cron.jobs : app[propertyOfKind[kind] as 'jobs']).map(
      (one) => one.name,
    );
    return names.every((name) => there.includes(name));
  }
  if (variable === null || module === null) return undefined;
  const from = source.file === file ? null : bare(pathTo(source.file));
  return listedIn(module, propertyOfKind[kind]).some(
    (one) => one.name === variable && (one.from === null ? null : bare(one.from)) === from,
  );
}

const bare = (path: string): string => path.replace(/\.[cm]?[jt]sx?$/, '');

function unregisteredFinding(
  { file, pathTo }: Inspected,
  source: Source,
  { kind, names, variable, exported, line }: Definition,
): SourceFinding {
  const property = propertyOfKind[kind];
  const own = source.file === file;
  const entry = { property, name: variable ?? '', from: own ? null : pathTo(source.file) };
  const can = variable !== null && (own || exported);
  const fix = can
    ? `add ${variable} to ${property} in ${file}, or run \`waybill doctor --fix\``
    : `export it as a constant, and add that to ${property} in ${file}`;
  const message = `${kind} ${names.join(', ') || variable} is defined but not registered`;
  return {
    finding: { code: 'definition_unregistered', severity: 'problem', message, file: source.file, line, fix },
    repair: can ? { entry } : null,
  };
}

function undeclared(source: Source): SourceFinding[] {
  return undeclaredEvents(source).map(({ action, event, line, edits }) => ({
    finding: {
      code: 'event_undeclared',
      severity: 'problem',
      message: `action ${action} records ${event}, which its emits lacks`,
      file: source.file,
      line,
      fix: `add ${event} to emits of ${action}${edits ? ', or run `waybill doctor --fix`' : ''}`,
    },
    repair: edits && { file: source.file, edits },
  }));
}

/** Findings that only the loaded application shows. */
export function inspectApp(app: App): Finding[] {
  return app.events
    .filter((event) => !app.listeners.some((listener) => listener.event === event))
    .map(({ name }) => ({
      code: 'event_unheard',
      severity: 'warning',
      message: `nobody listens to the event ${name}: it is recorded, delivered, and nothing happens`,
      fix: `\`waybill make listener NAME --event ${name}\``,
    }));
}
