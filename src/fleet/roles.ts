// The roles of the fleet, by name. A role's modules are loaded when it starts, so that a process holds only its own.

import type { Role } from './role.ts';

export type RoleName = 'web' | 'relay' | 'email' | 'jobs' | 'scheduler';

export const roles: Readonly<Record<RoleName, Role>> = {
  web: async (host) => (await import('./web.ts')).webRole(host),
  relay: async (host) => (await import('./relay.ts')).relayRole(host),
  email: async (host) => (await import('./delivery.ts')).emailRole(host),
  jobs: async (host) => (await import('./delivery.ts')).jobsRole(host),
  scheduler: async (host) => (await import('./scheduler.ts')).schedulerRole(host),
};
