// Changes of a project's sources: what restarts a development fleet. Tests, declarations, and the files that editors write beside a source do not.

import { readdirSync, watch } from 'node:fs';
import { basename, join, sep } from 'node:path';

/** Editors save in several steps, and several files at once. */
const settleMs = 200;

/** Packages, tests, and what builds and tools write. Folders whose name begins with a dot are left out too. */
const leftOut = new Set([
  'node_modules',
  'test',
  'tests',
  '__tests__',
  'dist',
  'build',
  'out',
  'coverage',
  'tmp',
  'logs',
]);
const isLeftOut = (folder: string): boolean => folder.startsWith('.') || leftOut.has(folder);

/** @param path of a file, relative to the project */
export function isSource(path: string): boolean {
  const parts = path.split(sep);
  const name = basename(path);
  if (parts.slice(0, -1).some(isLeftOut)) return false;
  if (name === '.env') return true;
  if (name.startsWith('.') || /\.(?:test|spec|d)\.[cm]?[jt]sx?$/.test(name)) return false;
  return /\.(?:[cm]?[jt]sx?|json|sql)$/.test(name) && name !== 'package-lock.json';
}

/**
 * Waits until a source has changed and no other change follows at once.
 * @param folders absolute paths: of each, its own files and the folders below it
 * @returns the path of the change that came first, relative to its folder; undefined when the signal aborts
 */
export async function nextChange(
  folders: readonly string[],
  signal: AbortSignal,
): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let first: string | undefined;
  let timer: NodeJS.Timeout | undefined;
  const changed = (path: string): void => {
    if (!isSource(path)) return;
    first ??= path;
    clearTimeout(timer);
    timer = setTimeout(resolve, settleMs);
  };
  const ended = new AbortController();
  for (const folder of folders) watchFolder(folder, changed, AbortSignal.any([signal, ended.signal]));
  signal.addEventListener('abort', () => resolve(), { once: true });
  if (signal.aborted) resolve();
  await promise;
  clearTimeout(timer);
  ended.abort();
  return signal.aborted ? undefined : first;
}

/** Each folder in it has a watcher of its own, so that packages are not walked through. */
function watchFolder(folder: string, changed: (path: string) => void, signal: AbortSignal): void {
  watch(folder, { signal }, (_, file) => file !== null && changed(file));
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (!entry.isDirectory() || isLeftOut(entry.name)) continue;
    const inside = join(folder, entry.name);
    watch(inside, { signal, recursive: true }, (_, file) => file !== null && changed(join(entry.name, file)));
  }
}
