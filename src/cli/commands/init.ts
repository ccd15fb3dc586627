// `waybill init [DIR]`: adds to a project what it needs to use Waybill, or makes a new one. It overwrites nothing; a second run has nothing to do.

import { existsSync, statSync } from 'node:fs';
import type { Command } from 'commander';
import { carryOut, isNewProject, setupSteps } from '../setup-steps.ts';
import { forNewProjects, isThere, missingPackages } from '../missing-packages.ts';
import { UsageError } from '../exit.ts';
import { print, type Output } from '../print.ts';

type Options = Output & { readonly dryRun?: boolean };

export function addInit(program: Command): void {
  program
    .command('init')
    .description('put what Waybill needs into a project, or make a new one')
    .argument('[dir]', "the project's folder", '.')
    .option('--dry-run', 'only say what would be done')
    .action(init);
}

function init(dir: string, options: Options): void {
  if (existsSync(dir) && !statSync(dir).isDirectory())
    throw new UsageError('invalid_dir', `${dir} is a file: name the project's folder`);
  const steps = setupSteps(dir);
  if (!options.dryRun) carryOut(steps);
  const nothing = steps.every(({ did }) => did === 'already there');
  const next = nextSteps(dir, isNewProject(steps) ? forNewProjects : []);
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

function nextSteps(dir: string, beside: readonly string[]): string[] {
  return [
    ...(dir === '.' ? [] : [`cd ${dir}`]),
    ...missingPackages(dir, [...beside, ...(isThere(dir, 'vitest') ? [] : ['vitest'])]).map(
      ({ command }) => command,
    ),
    '`npx waybill dev` runs everything on this machine; in production, set DATABASE_URL, then `npx waybill release` and the processes of the Procfile',
  ];
}
