// The admin API of failures: groups of the same error, name and cause, and their mutes.

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import { muteFailures, unmuteFailures } from '../acts/failures.ts';
import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import { groupFailures } from '../operate/failures.ts';
import { readWindow, windows } from '../operate/grouping.ts';
import { filters, listed } from './filters.ts';
import { actorOf } from './people.ts';
import { filterOf } from './search.ts';

type WithKey = { Params: { key: string } };

const one = z.string().optional();
const query = z.object({ ...filters, window: listed(z.string(), windows).optional(), limit: one });
const about = z.strictObject({
  reason: z.string().min(1).max(1_000).nullish(),
  by: z.string().min(1).max(200).optional(),
});

export function addFailures(admin: FastifyInstance, db: Database, reads: Executor): void {
  admin.get(
    '/outbox/failures',
    { config: { about: 'Groups failures of the same error, name and cause', query } },
    (request) => {
      const { limit, ...filter } = filterOf(request, ['window', 'limit']);
      return groupFailures(reads, readWindow((request.query as { window?: string }).window), filter, limit);
    },
  );
  const actor = async (request: FastifyRequest) =>
    actorOf(request, await parseArguments({ name: 'mute', args: about }, request.body ?? {}));
  admin.post<WithKey>(
    '/outbox/failures/:key/mute',
    { config: { about: 'Mutes a group of failures until it changes', body: about } },
    async (request) => muteFailures(db, await actor(request), request.params.key),
  );
  admin.post<WithKey>(
    '/outbox/failures/:key/unmute',
    { config: { about: 'Shows a muted group of failures again', body: about } },
    async (request) => unmuteFailures(db, await actor(request), request.params.key),
  );
}
