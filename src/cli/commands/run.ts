// `waybill run ROLE…`: runs roles of the fleet without a Procfile; several roles share one process.

import type { Command } from 'commander';
import { runRoles } from '../../fleet/process.ts';
import type { RoleName } from '../../fleet/roles.ts';
import { nearest } from '../../nearest.ts';
import { UsageError } from '../exit.ts';

/** The roles of src/fleet/roles.ts (a test compares them). A role's code is loaded only when it runs. */
export const roleNames: readonly RoleName[] = ['web', 'relay', 'email', 'jobs', 'scheduler'];

export function addRun(program: Command): void {
  program
    .command('run')
    .description('run roles of the fleet in this process, until SIGTERM')
    .argument('<role...>', `one or more of ${roleNames.join(', ')}`)
    .action(async (given: string[]) => {
      const names = [...new Set(given)].map(roleOf);
      await runRoles(names.join('+'), names);
    });
}

function roleOf(name: string): RoleName {
  const known = roleNames.find((one) => one === name);
  if (known !== undefined) return known;
  const near = nearest(name, roleNames);
  throw new UsageError(
    'unknown_role',
    `no role "${name}"${near ? `, did you mean ${near}?` : ''} There are: ${roleNames.join(', ')}`,
  );
}
