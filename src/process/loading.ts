// The memory that loading the modules took: an idle process would keep some twenty megabytes of it. It is garbage, and, where sources were
// compiled (the first start of a deployment), a thread of tsx's compiler, which starts again if something is compiled later.

import { createRequire } from 'node:module';
import { sep } from 'node:path';
import { collectAll } from './heap.ts';

/** Once, when everything is loaded and nothing has begun. */
export async function freeLoadingMemory(): Promise<void> {
  for (const [file, module] of Object.entries(createRequire(import.meta.url).cache))
    if (module && isCompiler(file)) await (module.exports as { stop?: () => Promise<void> }).stop?.();
  collectAll();
}

/** esbuild's own `stop`, of the instance that tsx has loaded, if it has (esbuild.github.io/api, "Running the service"). */
const isCompiler = (file: string): boolean => file.endsWith(['', 'esbuild', 'lib', 'main.js'].join(sep));
