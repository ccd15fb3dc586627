// The application's folder, as the scaffolding commands use it: its module, its sources, and how files are written there.

import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, posix, relative, resolve, sep } from 'node:path';
import { WaybillError } from '../errors.ts';
import { readSource, type Source } from '../scaffold/source.ts';

export type Application = {
  /** Path of the module, from the working directory. */
  readonly file: string;
  readonly folder: string;
  readonly text: string;
};

/** @throws WaybillError `app_not_found` */
export function readApplication(env: Readonly<Record<string, string | undefined>>): Application {
  const file = env['WAYBILL_APP'] || 'app/index.ts';
  if (!existsSync(file) || !statSync(file).isFile())
    throw new WaybillError(
      'app_not_found',
      `WAYBILL_APP: there is no file ${file}; set it to the module that exports your application, or run \`waybill init\``,
    );
  return { file, folder: dirname(file), text: readFileSync(file, 'utf8') };
}

export type Sources = {
  readonly sources: readonly Source[];
  /** Files that are not valid TypeScript. */
  readonly broken: readonly { readonly file: string; readonly message: string }[];
};

/** The TypeScript files in the folder and below it, without tests, declarations and packages. */
export function readSources(folder: string): Sources {
  const sources: Source[] = [];
  const broken: { file: string; message: string }[] = [];
  for (const file of filesBelow(folder)) {
    try {
      sources.push(readSource(file, readFileSync(file, 'utf8')));
    } catch (error) {
      if (!(error instanceof WaybillError)) throw error;
      broken.push({ file, message: error.message });
    }
  }
  return { sources, broken };
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return /^(node_modules$|\.)/.test(entry.name) ? [] : filesBelow(path);
      return /\.[cm]?tsx?$/.test(entry.name) && !/\.(test|spec|d)\.[cm]?tsx?$/.test(entry.name) ? [path] : [];
    });
}

/** The path by which `module` imports another source, with the given ending. */
export function importPath(module: string, file: string, ending: string): string {
  const path = relative(dirname(resolve(module)), resolve(file))
    .split(sep)
    .join('/');
  const bare = posix.join(posix.dirname(path), basename(path).replace(/\.[cm]?tsx?$/, ''));
  return `${bare.startsWith('.') ? '' : './'}${bare}${ending}`;
}

/** The ending of import paths in a module that has none to copy: `.ts` only if the project's tsconfig.json allows it. */
export function usualEnding(dir = '.'): string {
  const path = join(dir, 'tsconfig.json');
  if (!existsSync(path)) return '.js';
  const allowed =
    /^(?!\s*\/\/).*"(?:allowImportingTsExtensions|rewriteRelativeImportExtensions)"\s*:\s*true/m;
  return allowed.test(readFileSync(path, 'utf8')) ? '.ts' : '.js';
}

/** Creates the files; an existing file is never overwritten. @throws WaybillError `file_exists` */
export function writeNew(files: readonly { readonly path: string; readonly text: string }[]): void {
  const made: string[] = [];
  try {
    for (const { path, text } of files) {
      writeFileSync(path, text, { flag: 'wx' });
      made.push(path);
    }
  } catch (error) {
    for (const path of made) rmSync(path);
    throw (error as { code?: unknown }).code === 'EEXIST'
      ? fileExists((error as { path?: string }).path ?? '')
      : error;
  }
}

export function fileExists(path: string): WaybillError {
  return new WaybillError('file_exists', `${path} is there already; nothing was written`);
}

/** Replaces the file atomically: it has the old text or the new one. A new file is readable by its owner alone, because it may hold keys. */
export function replaceFile(path: string, text: string): void {
  const beside = `${path}.${process.pid}.new`;
  writeFileSync(beside, text, { flag: 'wx', mode: existsSync(path) ? statSync(path).mode : 0o600 });
  renameSync(beside, path);
}
