import { roles } from '../src/fleet/roles.ts';
import { runProcess } from '../src/process/run.ts';

await runProcess('web', async (host) => [await roles.web(host)]);
