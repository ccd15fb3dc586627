// `waybill run ROLE…`: processes of the Procfile without a Procfile; several roles share one process.

import type { Command } from 'commander';
import type { Role } from '../../fleet/role.ts';
import { nearest } from '../../nearest.ts';
import { runProcess } from '../../process/run.ts';
import { UsageError } from '../exit.ts';

/** The roles of fleet/roles.ts (a test compares); their code is loaded only when one is run. */
export const roleNames = ['web', 'relay', 'email', 'jobs', 'scheduler'] as const;

export function addRun(program: Command): void {
  program
    .command('run')
    .description('run roles of the fleet in this process, until SIGTERM')
    .argument('<role...>', `one or more of ${roleNames.join(', ')}`)
    .action(async (given: string[]) => {
      const names = [...new Set(given)];
      for (const name of names) checkRole(name);
      const roles: Readonly<Record<string, Role>> = (await import('../../fleet/roles.ts')).roles;
      const chosen = names.map((name) => roles[name]).filter((role) => role !== undefined);
      await runProcess(names.join('+'), (host) => Promise.all(chosen.map((role) => role(host))));
    });
}

function checkRole(name: string): void {
  const known: readonly string[] = roleNames;
  if (known.includes(name)) return;
  const near = nearest(name, known);
  throw new UsageError(
    'unknown_role',
    `no role "${name}"${near ? `, did you mean ${near}?` : ''} There are: ${known.join(', ')}`,
  );
}
