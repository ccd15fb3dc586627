// Makes Node load an application in TypeScript: with tsx where the application has it, because tsx compiles all of TypeScript; else with Node's own
// loader, which only takes types out. Bun needs neither. A process that runs the sources of this package has a loader already.

import { existsSync, readFileSync } from 'node:fs';
import module from 'node:module'; // not by name: registerHooks came with Node 22.15, and importing a name that is not there fails
import { fileURLToPath } from 'node:url';
import { WaybillError } from '../errors.ts';
import { loadPackage } from '../packages.ts';

type Tsx = { register(): unknown };

let byNode = false;

/**
 * Registers a loader. Call it before the application's module is imported.
 * @param path the module's path, for the message
 * @throws WaybillError `typescript_unsupported` on a Node that loads no TypeScript, without tsx
 */
export function prepareTypeScript(path: string): void {
  if (process.versions.bun !== undefined || byNode) return;
  const [common, modules] = ['tsx/cjs/api', 'tsx/esm/api'].map((name) => loadPackage<Tsx>(name));
  if (common && modules) {
    common.register();
    modules.register();
    return;
  }
  if (!process.features.typescript)
    throw refusal(path, `Node ${process.versions.node} loads no TypeScript. Use Node 22.18 or later`);
  module.registerHooks({ resolve: resolveSource, load: loadSource });
  byNode = true;
}

/** @returns the error, or in its place one that says where a syntax error is, or names tsx, when the module needs what Node's own loader cannot do */
export function explained(path: string, error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code } = error as NodeJS.ErrnoException;
  const where = placeOf(error);
  if (!byNode && error instanceof SyntaxError) {
    // V8 keeps the place of one in an ES module to itself, until nothing catches the error.
    const found = where || `; \`node ${path}\` says in which file and line`;
    return new WaybillError('app_failed', `WAYBILL_APP: ${path} does not load: ${error.message}${found}`);
  }
  if (!byNode) return error;
  const syntax = error instanceof SyntaxError && code !== 'ERR_INVALID_TYPESCRIPT_SYNTAX';
  const alias = code === 'ERR_MODULE_NOT_FOUND' && error.message.includes('package') && hasPaths();
  if (!syntax && !alias && code !== 'ERR_UNKNOWN_FILE_EXTENSION') return error;
  return refusal(path, `${error.message.split('\n', 1)[0]}${where}. Node's own loader ${limits}`);
}

function placeOf({ stack = '' }: Error): string {
  const [place = ''] = stack.split('\n', 1);
  return /^(?:file:\/\/)?[^ ]*:\d+$/.test(place) ? `, at ${place.replace(/^file:\/\//, '')}` : '';
}

const limits = `only takes types out: it knows no enums, decorators, parameter properties, JSX or path aliases, and types need \`import type\``;

function refusal(path: string, why: string): WaybillError {
  return new WaybillError(
    'typescript_unsupported',
    `WAYBILL_APP: ${path} does not load: ${why}. Or run \`npm install tsx\`, which compiles all of TypeScript, or name a compiled module`,
  );
}

function hasPaths(): boolean {
  return existsSync('tsconfig.json') && readFileSync('tsconfig.json', 'utf8').includes('"paths"');
}

type Resolve = module.ResolveHookSync;

/** `./a.js` and `./a` in a TypeScript file mean `./a.ts`, where no other file is found: that is how TypeScript resolves them. */
const resolveSource: Resolve = (specifier, context, next) => {
  try {
    return next(specifier, context);
  } catch (error) {
    const isLocal = /^\.{1,2}\//.test(specifier) && /\.[cm]?tsx?$/.test(context.parentURL ?? '');
    for (const candidate of isLocal ? sourcesOf(specifier) : []) {
      try {
        return next(candidate, context);
      } catch {
        // the next one
      }
    }
    throw error;
  }
};

function sourcesOf(specifier: string): string[] {
  const compiled = /^(.*)\.([cm]?)js$/.exec(specifier);
  return compiled ? [`${compiled[1]}.${compiled[2]}ts`] : [`${specifier}.ts`, `${specifier}/index.ts`];
}

type Load = module.LoadHookSync;

/** A `.ts` file with `import` or `export` is a module, also in a package of type commonjs: that is what npm init makes, and TypeScript compiles it. */
const loadSource: Load = (url, context, next) => {
  const isCommon = context.format === 'commonjs-typescript' && url.startsWith('file:') && /\.tsx?$/.test(url);
  if (!isCommon || !/^[ \t]*(?:import|export)\b/m.test(readFileSync(fileURLToPath(url), 'utf8')))
    return next(url, context);
  return next(url, { ...context, format: 'module-typescript' });
};
