// The application's module: its one call of defineApp or defineOutboxRegistry, the definitions listed there, and edits that list more. A module
// that is not understood is never edited; the error says which lines a person must add.

import { WaybillError } from '../errors.ts';
import { append, edited, lineEnd, newlineOf, type Edit } from './edit.ts';
import {
  bare,
  callsOf,
  child,
  children,
  constantsOf,
  importsOf,
  nameOf,
  propertyOf,
  readSource,
  textOf,
  valueOf,
  type Import,
  type Node,
  type Source,
} from './source.ts';

export type Property = 'actions' | 'events' | 'listeners' | 'jobs' | 'cron';

/** A definition to list: `name` as `from` exports it or, without `from`, a constant of the module itself. */
export type Entry = { readonly property: Property; readonly name: string; readonly from: string | null };

export type AppModule = {
  readonly source: Source;
  /** Where `maker` is imported from, such as `waybill`. */
  readonly library: string;
  /** `defineApp` or `defineOutboxRegistry`. */
  readonly maker: string;
  readonly options: Node;
};

/** @throws WaybillError `app_not_understood`, `source_invalid` */
export function readModule(file: string, text: string): AppModule {
  const source = readSource(file, text);
  const calls = callsOf(source, ['defineApp', 'defineOutboxRegistry']);
  const [found] = calls;
  if (!found) refuse(file, 'it does not call defineApp or defineOutboxRegistry, imported by name');
  if (calls.length > 1) refuse(file, 'it calls defineApp or defineOutboxRegistry more than once');
  const options = valueOf(source, children(found.call, 'arguments')[0] ?? undefined);
  if (options?.type !== 'ObjectExpression') refuse(file, `${found.name} is not given an object literal`);
  if (children(options, 'properties').some((one) => one?.type === 'SpreadElement'))
    refuse(file, `${found.name} is given a spread object`);
  return { source, library: found.from, maker: found.name, options };
}

/**
 * The module's text with the entries added; entries that are listed already stay as they are.
 * @param crons names under which the application's files export one cron definition each: an import of another name may be an array
 * @throws WaybillError `app_not_understood` with the lines to add
 */
export function register(
  file: string,
  text: string,
  entries: readonly Entry[],
  crons: readonly string[] = [],
): string {
  try {
    return entries.reduce((now, entry) => registerOne(readModule(file, now), entry, crons), text);
  } catch (error) {
    if (!(error instanceof WaybillError) || error.code !== 'app_not_understood') throw error;
    throw new WaybillError(
      'app_not_understood',
      `${error.message}. Add this yourself:\n${byHand(text, entries)}`,
    );
  }
}

/** The lines for a person to add. */
function byHand(text: string, entries: readonly Entry[]): string {
  const maker = text.includes('defineOutboxRegistry(') ? 'defineOutboxRegistry' : 'defineApp';
  const imports = entries.flatMap(({ name, from }) =>
    from === null ? [] : [`  import { ${name} } from '${from}';`],
  );
  const listed = entries.map(({ property, name }) => `  in ${maker}: ${property}: [ …, ${name}]`);
  return [...imports, ...listed].join('\n');
}

function registerOne(
  { source, options, maker }: AppModule,
  { property, name, from }: Entry,
  crons: readonly string[],
): string {
  if (property === 'cron' && maker !== 'defineApp')
    refuse(source.file, `${maker} takes no cron: make the application with defineApp`);
  const there = importsOf(source).find((one) => one.from === from && one.imported === name && !one.typeOnly);
  const local = from === null ? name : (there?.local ?? freeName(source, name));
  const edits = listEdits({ source, options, crons }, property, local);
  if (from !== null && there === undefined) edits.unshift(importEdit(source, name, local, from));
  return edited(source.text, edits);
}

/** What the module lists, by exported name; its own constants have no `from`. */
export function listedIn({ source, options }: AppModule, property: Property): Omit<Entry, 'property'>[] {
  const written = child(propertyOf(options, property), 'value');
  const value = valueOf(source, written);
  const elements = value?.type === 'ArrayExpression' ? children(value, 'elements') : [written];
  return elements.flatMap((element): Omit<Entry, 'property'>[] => {
    const local = nameOf(bare(element ?? undefined));
    const found = importsOf(source).find((one) => one.local === local);
    if (found) return [{ name: found.imported, from: found.from }];
    return local === undefined ? [] : [{ name: local, from: null }];
  });
}

type Listing = Pick<AppModule, 'source' | 'options'> & { readonly crons: readonly string[] };

function listEdits({ source, options, crons }: Listing, property: Property, local: string): Edit[] {
  const at = propertyOf(options, property);
  if (at === undefined) return append(source, options, `${property}: [${local}]`);
  const written = child(at, 'value');
  const value = valueOf(source, written);
  if (value?.type === 'ArrayExpression') {
    if (children(value, 'elements').some((one) => one === null || one.type === 'SpreadElement'))
      refuse(source.file, `${property} has a spread in its array`);
    const listed = children(value, 'elements').some((one) => nameOf(bare(one ?? undefined)) === local);
    return listed ? [] : append(source, value, local);
  }
  if (
    property !== 'cron' ||
    written === undefined ||
    at.type !== 'ObjectProperty' ||
    !isOneCron(source, written, crons)
  )
    refuse(source.file, `${property} is not an array literal`);
  const one = nameOf(bare(written));
  if (one === local) return [];
  if ((at as { shorthand?: boolean }).shorthand) return [{ at: written.end, insert: `: [${one}, ${local}]` }];
  return [
    { at: written.start, insert: '[' },
    { at: written.end, insert: `, ${local}]` },
  ];
}

/** Whether the value of `cron` is a single definition: made in place, imported, or a constant of this module. */
function isOneCron(source: Source, written: Node, crons: readonly string[]): boolean {
  const isMade = callsOf(source, ['defineCron']).some(({ call }) => call === valueOf(source, written));
  const name = nameOf(bare(written));
  return (
    isMade || importsOf(source).some(({ local, imported }) => local === name && crons.includes(imported))
  );
}

/** Extends an import from the same path, or else adds a line. */
function importEdit(source: Source, name: string, local: string, from: string): Edit {
  const what = local === name ? name : `${name} as ${local}`;
  const same = importsOf(source).findLast((one) => one.from === from && isNamed(one));
  if (same) return { at: children(same.declaration, 'specifiers').at(-1)!.end, insert: `, ${what}` };
  const last = source.body.findLast(({ type }) => type === 'ImportDeclaration')!;
  const { text } = source;
  const quote = text[child(last, 'source')!.start] ?? `'`;
  const end = text[last.end - 1] === ';' ? ';' : '';
  const insert = `${newlineOf(text)}import { ${what} } from ${quote}${from}${quote}${end}`;
  return { at: lineEnd(source, last.end), insert };
}

function isNamed({ declaration }: Import): boolean {
  const named = children(declaration, 'specifiers').at(-1)?.type === 'ImportSpecifier';
  return named && (declaration as { importKind?: string }).importKind !== 'type';
}

/** The name, with a number appended if the module already uses it. */
function freeName(source: Source, name: string): string {
  const taken = new Set([
    ...importsOf(source).map(({ local }) => local),
    ...constantsOf(source.body).map(({ declarator }) => nameOf(child(declarator, 'id'))),
    ...source.body.map((statement) => nameOf(child(child(statement, 'declaration') ?? statement, 'id'))),
  ]);
  for (let n = 1; ; n++) {
    const candidate = n === 1 ? name : `${name}${n}`;
    if (!taken.has(candidate)) return candidate;
  }
}

/** The ending of the module's import paths: `.ts`, `.js`, or none. */
export function endingOf({ source, library }: AppModule, otherwise: string): string {
  const paths = source.body.flatMap((one) => textOf(child(one, 'source')) ?? []);
  const near = [...paths, library].filter((path) => path.startsWith('.'));
  return near[0] === undefined ? otherwise : (/\.[cm]?[jt]sx?$/.exec(near[0])?.[0] ?? '');
}

function refuse(file: string, why: string): never {
  throw new WaybillError('app_not_understood', `${file} cannot be edited: ${why}`);
}
