// A process of the fleet, by its roles: first the bounds of its heap, then the modules, because loading them is what lets a heap grow.

import { keepHeapSmall } from '../process/heap.ts';
import type { RoleName } from './roles.ts';

/** Runs the roles in this process to its end, and ends it. `name` is what the process is called. */
export async function runRoles(name: string, names: readonly RoleName[]): Promise<never> {
  keepHeapSmall();
  const { runProcess } = await import('../process/run.ts');
  const { roles } = await import('./roles.ts');
  return runProcess(name, async (host) => {
    const cast = await Promise.all(names.map((one) => roles[one](host)));
    const life = cast.find((one) => one.life)?.life ?? {}; // one process, one WAYBILL_APP
    return {
      life,
      runsHandlers: cast.some((one) => one.life !== undefined),
      services: cast.map(({ service }) => service),
    };
  });
}
