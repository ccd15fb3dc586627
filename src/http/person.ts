// The admin API of one person's data: what holds an address, and its erasure. The address is in the body, because URLs stand in access logs.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import { erasePerson, findPerson } from '../acts/person.ts';
import type { Database } from '../db/pool.ts';
import { leftOf } from '../operate/person.ts';
import { actorOf } from './people.ts';

const about = { reason: z.string().min(1).max(1_000).nullish(), by: z.string().min(1).max(200).optional() };
const which = { recipient: z.string().min(1).max(1_000), cursor: z.string().max(10_000).optional() };

const find = z.strictObject({ ...which, ...about });
const erase = z.strictObject({ ...which, dryRun: z.boolean().default(false), ...about });

export function addPerson(admin: FastifyInstance, db: Database): void {
  const config = { role: 'admin' as const };
  admin.post(
    '/find',
    { config: { ...config, about: 'Finds what holds an address, in pages', body: find } },
    async (request) => {
      const args = await parseArguments({ name: 'find', args: find }, request.body ?? {});
      const { recipient, cursor, ...given } = args;
      return findPerson(db, actorOf(request, given), recipient, { cursor });
    },
  );
  admin.post(
    '/erase',
    { config: { ...config, about: 'Erases what holds an address, in pages', body: erase } },
    async (request) => {
      const args = await parseArguments({ name: 'erase', args: erase }, request.body ?? {});
      const { recipient, cursor, dryRun, ...given } = args;
      const page = await erasePerson(db, actorOf(request, given), recipient, { cursor, dryRun });
      return { dryRun, ...page, left: dryRun ? 0 : leftOf(page.places) };
    },
  );
}
