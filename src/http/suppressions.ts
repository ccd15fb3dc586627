// The admin API of the suppression list, which holds addresses that get no more mail.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import { suppressAddress, unsuppressAddress } from '../acts/suppressions.ts';
import { actorOf } from './people.ts';
import { listSuppressions } from '../email/suppression.ts';
import { WaybillError } from '../errors.ts';

const page = z.strictObject({
  limit: z.coerce.number().int().min(1).max(500).default(100),
  cursor: z.string().max(320).optional(),
  contains: z.string().min(1).max(320).optional(),
});

const entry = z.strictObject({
  address: z.string().max(320),
  reason: z.string().min(1).max(500).default('added by an operator'),
});

type WithAddress = { Params: { address: string } };

export function addSuppressions(admin: FastifyInstance, db: Database, reads: Executor): void {
  admin.get(
    '/suppressions',
    { config: { about: 'Lists addresses that get no more mail', query: page } },
    async (request) =>
      listSuppressions(reads, await parseArguments({ name: 'suppressions', args: page }, request.query)),
  );
  admin.post(
    '/suppressions',
    { config: { about: 'Adds an address to the list', body: entry } },
    async (request) => {
      const { address, reason } = await parseArguments({ name: 'suppress', args: entry }, request.body ?? {});
      return { address, added: await suppressAddress(db, actorOf(request), address, reason) };
    },
  );
  admin.delete<WithAddress>(
    '/suppressions/:address',
    { config: { about: 'Removes an address from the list' } },
    async (request) => {
      const { address } = request.params;
      if (!(await unsuppressAddress(db, actorOf(request), address)))
        throw new WaybillError('not_found', 'this address is not on the suppression list');
      return { address, removed: true };
    },
  );
}
