import { runRoles } from '../src/fleet/process.ts';

await runRoles('scheduler', ['scheduler']);
