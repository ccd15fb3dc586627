import { runRoles } from '../src/fleet/process.ts';

await runRoles('relay', ['relay']);
