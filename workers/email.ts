import { emailRole } from '../src/fleet/delivery.ts';
import { runProcess } from '../src/process/run.ts';

await runProcess('email', async (host) => [await emailRole(host)]);
