import { roles } from '../src/fleet/roles.ts';
import { runProcess } from '../src/process/run.ts';

await runProcess('email', async (host) => [await roles.email(host)]);
