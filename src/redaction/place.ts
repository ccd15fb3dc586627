// The place in the application's code where an error began. It is the first frame of the stack outside of Node, libraries and this package.

import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of our own modules, as in stack frames. Undefined where a bundler merged them with the application's. */
const ours = /^(file:.*\/)redaction\/place\.[jt]s$/.exec(import.meta.url)?.[1];
const ourFolder = ours === undefined ? undefined : fileURLToPath(ours);

/** The lines of a stack that are frames. */
export function framesOf(stack: unknown): string[] {
  if (typeof stack !== 'string') return [];
  return stack.split('\n', 400).filter((line) => line.length < 2_000 && /^ +at /.test(line));
}

/** `app/jobs/grow.ts:14:9`; undefined when the stack has no frame of the application. */
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
 * A driver creates its error when an answer arrives, so the stack has no frame of the caller. Call this in an async function that awaited the driver:
 * it adds the callers that await that function.
 */
export function withCallers<E>(error: E): E {
  if (!(error instanceof Error) || typeof error.stack !== 'string' || placeOf(error.stack) !== undefined)
    return error;
  const callers = framesOf(new Error().stack).filter((frame) => / at async /.test(frame));
  if (callers.length === 0) return error;
  try {
    error.stack = [error.stack, ...callers].join('\n');
  } catch {
    // frozen: it stays without its callers
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
    return fileURLToPath(file.replace(/\?.*$/, '')); // loaders append a question mark and a version
  } catch {
    return file;
  }
}

/** A path below the working directory becomes relative to it. */
function shown(path: string): string {
  const way = relative(process.cwd(), path);
  return way === '' || way.startsWith('..') ? path : way;
}
