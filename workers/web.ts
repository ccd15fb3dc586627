import { webRole } from '../src/fleet/web.ts';
import { runProcess } from '../src/process/run.ts';

await runProcess('web', async (host) => [await webRole(host)]);
