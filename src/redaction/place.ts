// The place in the application's own code where an error began: the first frame of its stack that is neither Node's, a library's nor ours.

import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of our own modules, as frames write it. Undefined where a bundler has put them together with the application's. */
const ours = /^(file:.*\/)redaction\/place\.[jt]s$/.exec(import.meta.url)?.[1];
const ourFolder = ours === undefined ? undefined : fileURLToPath(ours);

/** Lines of a stack that are frames. */
export function framesOf(stack: unknown): string[] {
  if (typeof stack !== 'string') return [];
  return stack.split('\n', 400).filter((line) => line.length < 2_000 && /^ +at /.test(line));
}

/** `app/jobs/grow.ts:14:9`; undefined when the application has no part in the stack. */
export function placeOf(stack: unknown): string | undefined {
  for (const frame of framesOf(stack)) {
    const [, file, at] =
      /(?:^ +at (?:async )?|\()((?:file:\/\/)?(?:\/|[A-Za-z]:[\\/])[^()]*?)(:\d+(?::\d+)?)\)?$/.exec(frame) ??
      [];
    if (file === undefined || !isApplication(file)) continue;
    return `${shown(pathOf(file))}${at}`;
  }
  return undefined;
}

/**
 * A driver makes its error where an answer came in, and nobody's code is in its stack. Called in an async function that awaited the driver:
 * those who await that function are added.
 */
export function withCallers<E>(error: E): E {
  if (!(error instanceof Error) || typeof error.stack !== 'string' || placeOf(error.stack) !== undefined)
    return error;
  const callers = framesOf(new Error().stack).filter((frame) => / at async /.test(frame));
  if (callers.length === 0) return error;
  try {
    error.stack = [error.stack, ...callers].join('\n');
  } catch {
    // frozen: it is told without its callers
  }
  return error;
}

function isApplication(file: string): boolean {
  if (file.includes('/node_modules/') || file.startsWith('node:')) return false;
  return ourFolder === undefined || !pathOf(file).startsWith(ourFolder);
}

function pathOf(file: string): string {
  if (!file.startsWith('file:')) return file;
  try {
    return fileURLToPath(file.replace(/\?.*$/, '')); // loaders put a question mark and a version behind it
  } catch {
    return file;
  }
}

/** Below the working directory by its way from there. */
function shown(path: string): string {
  const way = relative(process.cwd(), path);
  return way === '' || way.startsWith('..') ? path : way;
}
