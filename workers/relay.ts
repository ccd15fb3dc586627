import { relayRole } from '../src/fleet/relay.ts';
import { runProcess } from '../src/process/run.ts';

await runProcess('relay', async (host) => [await relayRole(host)]);
