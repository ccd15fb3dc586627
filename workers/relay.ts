import { roles } from '../src/fleet/roles.ts';
import { runProcess } from '../src/process/run.ts';

await runProcess('relay', async (host) => [await roles.relay(host)]);
