import { jobsRole } from '../src/fleet/roles.ts';
import { runProcess } from '../src/process/run.ts';

await runProcess('jobs', async (host) => [await jobsRole(host)]);
