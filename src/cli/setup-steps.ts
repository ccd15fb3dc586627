// The changes by which `init` and `dev` put Waybill into a project: planned first, carried out on demand. Nothing is overwritten.

import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import {
  addLines,
  addScripts,
  emptyModule,
  environmentLines,
  exampleFiles,
  newManifest,
  newProjectFiles,
  procfileLines,
  type Added,
  type NewFile,
} from '../scaffold/setup.ts';
import { replaceFile, usualEnding, writeNew } from './application.ts';

/** A change to one file, planned or done. */
export type Step = {
  readonly path: string;
  readonly did: 'made' | 'added' | 'already there';
  /** The names that were added. */
  readonly what: readonly string[];
  readonly text: string;
};

/**
 * @param dir the project's folder; it need not exist
 * @throws WaybillError `invalid_package_json`
 */
export function setupSteps(dir: string): Step[] {
  const manifest = manifestStep(dir); // first, because its problems end the command
  const beside =
    manifest.did === 'made' ? newProjectFiles.filter(({ name }) => !existsSync(join(dir, name))) : [];
  const ending = beside.some(({ name }) => name === 'tsconfig.json') ? '.ts' : usualEnding(dir);
  return [
    ...applicationSteps(dir, ending),
    appended(dir, 'Procfile', (text) => addLines(text, procfileLines)),
    appended(dir, '.env.example', (text) => addLines(text, environmentLines)),
    manifest,
    ...beside.map(({ name, text }) => ({ path: join(dir, name), did: 'made' as const, what: [], text })),
  ];
}

export const isNewProject = (steps: readonly Step[]): boolean =>
  steps.some(({ path, did }) => basename(path) === 'package.json' && did === 'made');

export function carryOut(steps: readonly Step[]): void {
  for (const { path, did, text } of steps) {
    if (did === 'already there') continue;
    mkdirSync(dirname(path), { recursive: true });
    if (did === 'made') writeNew([{ path, text }]);
    else replaceFile(path, text);
  }
}

function manifestStep(dir: string): Step {
  const path = join(dir, 'package.json');
  if (existsSync(path)) return appended(dir, 'package.json', addScripts);
  return { path, did: 'made', what: [], text: newManifest(basename(resolve(dir))) };
}

/** The example is written only with a new module; in an existing application it would be in the way. */
function applicationSteps(dir: string, ending: string): Step[] {
  const module = join(dir, process.env['WAYBILL_APP'] || 'app/index.ts');
  if (existsSync(module)) return [{ path: module, did: 'already there', what: [], text: '' }];
  const name = basename(module);
  const example = exampleFiles(name, ending);
  const taken = example.some((file) => existsSync(join(dirname(module), file.name)));
  return (taken ? [emptyModule(name)] : example).map((file: NewFile) => {
    return { path: join(dirname(module), file.name), did: 'made', what: [], text: file.text };
  });
}

function appended(dir: string, name: string, add: (text: string) => Added): Step {
  const path = join(dir, name);
  const there = existsSync(path);
  const { text, added } = add(there ? readFileSync(path, 'utf8') : '');
  if (!there) return { path, did: 'made', what: added, text };
  return { path, did: added.length > 0 ? 'added' : 'already there', what: added, text };
}
