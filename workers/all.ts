import { emailRole, jobsRole } from '../src/fleet/delivery.ts';
import { relayRole } from '../src/fleet/relay.ts';
import { webRole } from '../src/fleet/web.ts';
import { runProcess } from '../src/process/run.ts';

const roles = [webRole, relayRole, emailRole, jobsRole];

await runProcess('all', (host) => Promise.all(roles.map((role) => role(host))));
