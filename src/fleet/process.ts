// A process of the fleet, given its roles. It limits the heap before it loads modules, because loading lets the heap grow.

import { keepHeapSmall } from '../process/heap.ts';
import type { Common } from './role.ts';
import type { RoleName } from './roles.ts';

/** Runs the roles in this process, for each of its databases, then ends it. `name` is that of the process. */
export async function runRoles(name: string, names: readonly RoleName[]): Promise<never> {
  keepHeapSmall();
  const { runProcess } = await import('../process/run.ts');
  const { roles } = await import('./roles.ts');
  const common: Common = {};
  return runProcess(name, async (host) => {
    const cast = await Promise.all(names.map((one) => roles[one](host, common)));
    const life = cast.find((one) => one.life)?.life ?? {}; // one process, one WAYBILL_APP
    return {
      life,
      runsHandlers: cast.some((one) => one.life !== undefined),
      services: cast.map(({ service }) => service),
    };
  });
}
