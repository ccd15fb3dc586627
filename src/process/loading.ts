// Frees the memory that loading modules took: an idle process would keep about 20 MB of it. It is garbage and, where sources were compiled (the first
// start of a deployment), the thread of tsx's compiler. That thread starts again if something is compiled later.

import { createRequire } from 'node:module';
import { sep } from 'node:path';
import { collectAll } from './heap.ts';

/** Call it once, when everything is loaded and nothing has begun. */
export async function freeLoadingMemory(): Promise<void> {
  for (const [file, module] of Object.entries(createRequire(import.meta.url).cache))
    if (module && isCompiler(file)) await (module.exports as { stop?: () => Promise<void> }).stop?.();
  collectAll();
}

/** esbuild's own `stop`, of the instance that tsx loaded, if any (esbuild.github.io/api, "Running the service"). */
const isCompiler = (file: string): boolean => file.endsWith(['', 'esbuild', 'lib', 'main.js'].join(sep));
