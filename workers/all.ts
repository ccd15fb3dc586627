import { runRoles } from '../src/fleet/process.ts';

await runRoles('all', ['web', 'relay', 'email', 'jobs', 'scheduler']);
