import { roles } from '../src/fleet/roles.ts';
import { runProcess } from '../src/process/run.ts';

await runProcess('scheduler', async (host) => [await roles.scheduler(host)]);
