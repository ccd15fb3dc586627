import { roles } from '../src/fleet/roles.ts';
import { runProcess } from '../src/process/run.ts';

await runProcess('jobs', async (host) => [await roles.jobs(host)]);
