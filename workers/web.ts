import { runRoles } from '../src/fleet/process.ts';

await runRoles('web', ['web']);
