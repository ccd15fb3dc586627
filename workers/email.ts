import { runRoles } from '../src/fleet/process.ts';

await runRoles('email', ['email']);
