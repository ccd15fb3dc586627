import { runRoles } from '../src/fleet/process.ts';

await runRoles('jobs', ['jobs']);
