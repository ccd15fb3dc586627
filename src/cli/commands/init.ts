// `waybill init [DIR]`: adds to a project what it needs to use Waybill. It overwrites nothing; a second run has nothing to do.

import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Command } from 'commander';
import { addLines, addScripts, emptyModule, environmentLines, exampleFiles } from '../../scaffold/setup.ts';
import { procfileLines, type Added, type NewFile } from '../../scaffold/setup.ts';
import { replaceFile, usualEnding, writeNew } from '../application.ts';
import { UsageError } from '../exit.ts';
import { print, type Output } from '../print.ts';

type Options = Output & { readonly dryRun?: boolean };

/** A change to one file, planned or done. */
type Step = {
  readonly path: string;
  readonly did: 'made' | 'added' | 'already there';
  /** The names that were added. */
  readonly what: readonly string[];
  readonly text: string;
};

export function addInit(program: Command): void {
  program
    .command('init')
    .description('put what Waybill needs into a project that exists')
    .argument('[dir]', 'the folder of its package.json', '.')
    .option('--dry-run', 'only say what would be done')
    .action(init);
}

function init(dir: string, options: Options): void {
  const manifest = readManifest(dir);
  const steps = [
    ...applicationSteps(dir),
    appended(dir, 'Procfile', (text) => addLines(text, procfileLines)),
    appended(dir, '.env.example', (text) => addLines(text, environmentLines)),
    appended(dir, 'package.json', () => addScripts(manifest)),
  ];
  if (!options.dryRun) for (const step of steps) carryOut(step);
  const nothing = steps.every(({ did }) => did === 'already there');
  const next = nextSteps(manifest);
  const report = {
    dryRun: options.dryRun === true,
    steps: steps.map(({ path, did, what }) => ({ path, did, what })),
    next,
  };
  const would = options.dryRun ? 'would be ' : '';
  print(report, options, () => [
    ...report.steps.map(({ path, did, what }) =>
      did === 'already there'
        ? `already there: ${path}`
        : `${would}${did}: ${path}${what.length > 0 ? ` (${what.join(', ')})` : ''}`,
    ),
    ...(nothing ? ['there is nothing to do'] : next.map((one) => `next: ${one}`)),
  ]);
}

function readManifest(dir: string): string {
  const path = join(dir, 'package.json');
  if (!existsSync(path))
    throw new UsageError(
      'package_json_missing',
      `there is no ${path}: run \`npm init\` first, or name the project's folder`,
    );
  const text = readFileSync(path, 'utf8');
  addScripts(text); // finds problems in it before anything is written
  return text;
}

/** The example is written only with a new module; in an existing application it would be in the way. */
function applicationSteps(dir: string): Step[] {
  const module = join(dir, process.env['WAYBILL_APP'] || 'app/index.ts');
  if (existsSync(module)) return [{ path: module, did: 'already there', what: [], text: '' }];
  const name = basename(module);
  const example = exampleFiles(name, usualEnding(dir));
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

function carryOut({ path, did, text }: Step): void {
  if (did === 'already there') return;
  mkdirSync(dirname(path), { recursive: true });
  if (did === 'made') writeNew([{ path, text }]);
  else replaceFile(path, text);
}

function nextSteps(manifest: string): string[] {
  const { dependencies, devDependencies } = JSON.parse(manifest) as Partial<
    Record<'dependencies' | 'devDependencies', Record<string, string>>
  >;
  const there = { ...devDependencies, ...dependencies };
  const missing = (names: readonly string[]): string[] => names.filter((name) => !Object.hasOwn(there, name));
  const needsTsx = process.features.typescript === false; // this Node loads no TypeScript by itself
  const install = missing(['waybill', 'zod', 'pg', ...(needsTsx ? ['tsx'] : [])]);
  const forTests = missing(['vitest']);
  return [
    ...(install.length > 0 ? [`npm install ${install.join(' ')}`] : []),
    ...(forTests.length > 0 ? [`npm install --save-dev ${forTests.join(' ')}`] : []),
    'set DATABASE_URL, then `npx waybill release` and `npx waybill run web relay email jobs scheduler`',
  ];
}
