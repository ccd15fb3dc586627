import { jobsRole } from '../src/fleet/delivery.ts';
import { runProcess } from '../src/process/run.ts';

await runProcess('jobs', async (host) => [await jobsRole(host)]);
