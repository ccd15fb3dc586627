// The roles of the fleet, by name.

import { emailRole, jobsRole } from './delivery.ts';
import { relayRole } from './relay.ts';
import type { Role } from './role.ts';
import { schedulerRole } from './scheduler.ts';
import { webRole } from './web.ts';

export const roles: Readonly<Record<string, Role>> = {
  web: webRole,
  relay: relayRole,
  email: emailRole,
  jobs: jobsRole,
  scheduler: schedulerRole,
};
