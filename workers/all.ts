import { roles } from '../src/fleet/roles.ts';
import { runProcess } from '../src/process/run.ts';

await runProcess('all', (host) => Promise.all(Object.values(roles).map((role) => role(host))));
