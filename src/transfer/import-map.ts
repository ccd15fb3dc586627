// The map of an import: which queue of the source becomes which message. It is a JSON file that the author of the application writes, and that
// `--write-map` begins.

import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { pathText } from '../define/payload.ts';
import type { Registry } from '../define/registry.ts';
import { WaybillError } from '../errors.ts';
import { isQueueName, isName, type Kind } from '../message/message.ts';
import { isTags, maxTags, tagsRule } from '../message/tags.ts';
import { nearest } from '../nearest.ts';
import type { SourceJob, SourceQueue } from './source.ts';

const skipped = z.strictObject({ skip: z.string().trim().min(1).max(500) });

const field = z.string().min(1).max(200);

const imported = z.strictObject({
  kind: z.enum(['job', 'event', 'email']),
  /** Name of the job or event; an email has none. */
  name: z.string().refine(isName).optional(),
  /** Instead of the queue of the definition. */
  queue: z.string().refine(isQueueName, 'no name of a queue').optional(),
  /** Fields of the payload that are kept; default: all. */
  pick: z.array(field).optional(),
  /** Field of the source's payload → its new name. */
  rename: z.record(field, field).optional(),
  /** `id`: the delivery key is made of the source's id. `own`: it is the job's own key, where it has one. */
  key: z.enum(['id', 'own']).default('id'),
  /** Whose number of attempts counts: those that the source has left, or those of the definition. */
  attempts: z.enum(['source', 'definition']).default('source'),
  tags: z.array(z.string()).refine(isTags, tagsRule).optional(),
});

const schema = z.strictObject({ queues: z.record(z.string(), z.union([skipped, imported])) });

/** Lines of an export have rows of every kind. */
export type ImportRow = Omit<z.infer<typeof imported>, 'kind'> & { readonly kind: Kind };
export type MapRow = ImportRow | z.infer<typeof skipped>;
export type ImportMap = { readonly queues: Readonly<Record<string, MapRow>> };

export const isSkipped = (row: MapRow): row is z.infer<typeof skipped> => 'skip' in row;

/** @throws WaybillError `invalid_import_map` */
export function readImportMap(file: string, registry: Registry): ImportMap {
  const map = parseImportMap(textOf(file), file);
  const problems = Object.entries(map.queues).flatMap(([queue, row]) =>
    problemsOf(row, registry).map((problem) => ({ path: `queues.${queue}`, message: problem })),
  );
  if (problems.length > 0) throw refused(file, problems);
  return map;
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/^\uFEFF/, ''); // editors on Windows begin files with a byte order mark
  } catch (error) {
    throw new WaybillError(
      'invalid_import_map',
      `the map ${file} cannot be read: ${(error as Error).message}; begin one with --write-map ${file}`,
    );
  }
}

/** @throws WaybillError `invalid_import_map` */
export function parseImportMap(text: string, file: string): ImportMap {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new WaybillError(
      'invalid_import_map',
      `the map ${file} is no JSON: ${(error as Error).message.slice(0, 200)}`,
    );
  }
  const repeated = repeatedKeys(text);
  if (repeated.length > 0)
    throw refused(
      file,
      repeated.map((path) => ({ path, message: 'it is there twice' })),
    );
  const read = schema.safeParse(json);
  if (read.success) return read.data;
  const issues = read.error.issues.flatMap((issue) => {
    // A row is one of two forms: the problems of the form that it was meant to be.
    const inner = issue.code === 'invalid_union' ? (issue.errors[1] ?? []) : [];
    return inner.length > 0
      ? inner.map(({ path, message }) => ({ path: pathText([...issue.path, ...path]), message }))
      : [{ path: pathText(issue.path), message: issue.message }];
  });
  throw refused(file, issues);
}

/** JSON.parse keeps the last of two fields with one name. @param text JSON */
function repeatedKeys(text: string): string[] {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\]:]/g) ?? [];
  const open: Set<string>[] = [];
  const repeated = new Set<string>();
  for (const [i, token] of tokens.entries()) {
    if (token === '{' || token === '[') open.push(new Set());
    else if (token === '}' || token === ']') open.pop();
    else if (tokens[i + 1] === ':') {
      const key = JSON.parse(token) as string;
      if (open.at(-1)!.has(key)) repeated.add(key);
      open.at(-1)!.add(key);
    }
  }
  return [...repeated];
}

type Problem = { readonly path: string; readonly message: string };

function refused(file: string, problems: readonly Problem[]): WaybillError {
  const lines = problems.slice(0, 20).map(({ path, message }) => `\n  ${path}: ${message}`);
  return new WaybillError('invalid_import_map', `the map ${file} is wrong:${lines.join('')}\n`, problems);
}

function problemsOf(row: MapRow, { app, job, event }: Registry): string[] {
  if (isSkipped(row)) return [];
  if (row.key === 'own' && new Set(row.tags).size >= maxTags)
    return [`with "key": "own" a row has at most ${maxTags - 1} tags: the import adds one to each message`];
  if (row.kind === 'email') return [];
  const { kind, name } = row;
  if (name === undefined) return [`a row of the kind ${kind} needs a name`];
  if (kind === 'job' ? job(name) : event(name)) return [];
  const known = (kind === 'job' ? app.jobs : app.events).map((one) => one.name);
  const meant = nearest(name, known);
  return [
    `the application has no ${kind} ${name}${meant ? `, was ${meant} meant?` : '.'} There are ${known.join(', ') || 'none'}`,
  ];
}

/** The row for a job: that of its own name, else that of the wider one. */
export function rowOf(
  { queues }: ImportMap,
  { queue, within }: Pick<SourceJob, 'queue' | 'within'>,
): MapRow | undefined {
  const own = Object.hasOwn(queues, queue) ? queues[queue] : undefined;
  return own ?? (within !== undefined && Object.hasOwn(queues, within) ? queues[within] : undefined);
}

/** Rows that no queue of the source belongs to. */
export function unusedRows({ queues }: ImportMap, found: readonly SourceQueue[]): string[] {
  const names = new Set(found.flatMap(({ queue, within }) => [queue, within]));
  return Object.keys(queues).filter((queue) => !names.has(queue));
}

/** A job or event of this name is taken for meant; every other row has to be filled in. */
const unknown = 'unknown';

/**
 * Begins a map: a row for each queue of the source.
 * @throws WaybillError `invalid_import_map` when the file exists
 */
export function writeImportMap(file: string, found: readonly SourceQueue[], { app }: Registry): void {
  const byName = (name: string): MapRow | object => {
    const kind = app.events.some((one) => one.name === name) ? 'event' : 'job';
    const names = (kind === 'job' ? app.jobs : app.events).map((one) => one.name);
    return { kind, name: names.includes(name) ? name : (nearest(name, names) ?? unknown) };
  };
  const rows = found.map(({ queue }) => [queue, byName(queue.split('/').at(-1)!)] as const);
  try {
    const text = JSON.stringify({ queues: Object.fromEntries(rows) }, null, 2);
    writeFileSync(file, `${text}\n`, { flag: 'wx' });
  } catch (error) {
    throw new WaybillError(
      'invalid_import_map',
      `the map ${file} was not written: ${(error as Error).message}`,
    );
  }
}
