// Who calls /admin: the key names a person or a program and gives it a role. Wrong keys are slowed down and counted.

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { setTimeout as pause } from 'node:timers/promises';
import type { Actor } from '../operate/audit.ts';
import { roles, type AdminKey, type Role } from '../config/admin-keys.ts';
import { WaybillError } from '../errors.ts';
import type { Clock, Milliseconds } from '../ports.ts';
import { isBearer } from '../process/health.ts';
import type { Host } from '../process/host.ts';
import { operatorOf } from './auth.ts';

export type Person = { readonly name: string; readonly role: Role };

declare module 'fastify' {
  interface FastifyRequest {
    /** Set where a key is needed. */
    person?: Person;
  }
  interface FastifyContextConfig {
    /** The least role that may call the route. Default: `read` for GET, else `operate`. */
    role?: Role;
  }
}

/** Every route of the API needs a key whose role is high enough. */
export function askForKey(api: FastifyInstance, { config }: Host, wrongKeys: WrongKeys): void {
  api.addHook('onRequest', async (request, reply) => {
    void reply.header('cache-control', 'no-store');
    if (config.adminKeys.length === 0)
      throw new WaybillError('admin_closed', 'the admin API is closed: set WAYBILL_ADMIN_KEY to open it');
    const { authorization } = request.headers;
    const person = personOf(authorization, config.adminKeys);
    if (person === undefined) {
      if (authorization !== undefined) await wrongKeys.met(request.ip);
      throw new WaybillError(
        'unauthorized',
        'Authorization: Bearer, with a key of WAYBILL_ADMIN_KEY or WAYBILL_ADMIN_KEYS, is needed',
      );
    }
    checkRole(person, leastRole(request.method, request.routeOptions.config.role));
    request.person = person;
  });
}

/** @returns whose key the request has; every key is compared, in constant time */
export function personOf(authorization: string | undefined, keys: readonly AdminKey[]): Person | undefined {
  return keys.filter(({ key }) => isBearer(authorization, key))[0];
}

/** @throws WaybillError `forbidden` */
export function checkRole({ name, role }: Person, least: Role): void {
  if (roles.indexOf(role) >= roles.indexOf(least)) return;
  throw new WaybillError('forbidden', `the key ${name} has the role ${role}: this needs ${least}`);
}

/** @param named by the route, if it names one */
export function leastRole(method: string, named: Role | undefined): Role {
  return named ?? (method === 'GET' || method === 'HEAD' ? 'read' : 'operate');
}

/** @param about a reason, and the person's name, from the body of the request */
export function actorOf(
  request: FastifyRequest,
  about: { readonly by?: string | undefined; readonly reason?: string | null | undefined } = {},
): Actor {
  const key = request.person?.name ?? null;
  return {
    by: about.by ?? operatorOf(request) ?? key ?? 'admin API',
    key,
    via: 'http',
    requestId: request.id,
    reason: about.reason ?? null,
  };
}

export type WrongKeys = {
  /**
   * A request had a wrong key. Resolves when it may be answered.
   * @throws WaybillError `too_many_wrong_keys`, at once
   */
  met(address: string): Promise<void>;
};

/** So many wrong keys of an address in a minute are answered at once; each further one twice as late as the one before. */
const free = 5;
const firstDelay: Milliseconds = 100;
const longestDelay: Milliseconds = 5_000;
const forgottenAfter: Milliseconds = 60_000;
/** Answers that wait at a time, so that an attacker cannot fill the memory. */
const mostWaiting = 100;
const mostAddresses = 10_000;

/** @param counted called for each wrong key */
export function createWrongKeys(clock: Clock, counted: () => void): WrongKeys {
  const seen = new Map<string, { times: number; until: Milliseconds }>();
  let waiting = 0;
  return {
    async met(address) {
      counted();
      const now = clock.now();
      const before = seen.get(address);
      const times = before && before.until > now ? before.times + 1 : 1;
      seen.delete(address); // the newest are last
      seen.set(address, { times, until: now + forgottenAfter });
      for (const oldest of seen.keys()) {
        if (seen.size <= mostAddresses) break;
        seen.delete(oldest);
      }
      if (times <= free) return;
      if (waiting >= mostWaiting)
        throw new WaybillError('too_many_wrong_keys', 'too many calls with wrong keys: wait a minute');
      waiting++;
      try {
        await pause(Math.min(longestDelay, firstDelay * 2 ** (times - free - 1)), undefined, { ref: false });
      } finally {
        waiting--;
      }
    },
  };
}
