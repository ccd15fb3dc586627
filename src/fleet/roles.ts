// The roles of the fleet, by name. A role's modules are loaded when it starts, so that a process holds only its own.

import type { Role } from './role.ts';

export type RoleName = 'web' | 'relay' | 'email' | 'jobs' | 'scheduler';

export const roles: Readonly<Record<RoleName, Role>> = {
  web: async (host, common) => (await import('./web.ts')).webRole(host, common),
  relay: async (host, common) => (await import('./relay.ts')).relayRole(host, common),
  email: async (host, common) => (await import('./delivery.ts')).emailRole(host, common),
  jobs: async (host, common) => (await import('./delivery.ts')).jobsRole(host, common),
  scheduler: async (host, common) => (await import('./scheduler.ts')).schedulerRole(host, common),
};
