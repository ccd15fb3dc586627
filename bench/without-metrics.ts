// A preload for a process under measurement: its metrics count nothing, and nothing of them is flushed. It is compared with a process as
// deployed; the source itself has no such switch.

import { registerHooks } from 'node:module';

const silent = new URL('silent.ts', import.meta.url).href;

registerHooks({
  resolve: (specifier, context, next) =>
    specifier.endsWith('/metrics/catalogue.ts') && !context.parentURL?.startsWith(silent)
      ? { url: silent, format: 'module', shortCircuit: true }
      : next(specifier, context),
});
