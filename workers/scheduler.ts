import { schedulerRole } from '../src/fleet/scheduler.ts';
import { runProcess } from '../src/process/run.ts';

await runProcess('scheduler', async (host) => [await schedulerRole(host)]);
