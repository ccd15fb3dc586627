// The admin API of bulk acts: what is done to all messages that a filter matches, with a preview, progress, pause, stop and resume.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import * as acts from '../acts/bulk.ts';
import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import { bulkStates, listBulk, parseBulkFilter, showBulk } from '../operate/bulk.ts';
import { parseFilter } from '../operate/filter.ts';
import { filters, oneOrMore } from './filters.ts';
import { actorOf, checkRole } from './people.ts';
import { checkContents } from './search.ts';

type WithId = { Params: { id: string } };

const about = { reason: z.string().min(1).max(1_000).nullish(), by: z.string().min(1).max(200).optional() };
const line = z.string().min(1).max(100);

const bulk = z.strictObject({
  action: line,
  filter: z.strictObject(filters).default({}),
  /** Every message in a state that the action takes. It must be explicit, so that a forgotten filter does not do it. */
  all: z.boolean().default(false),
  /** For hold and reschedule: a time, or a duration from now such as `2h`. */
  due: line.optional(),
  /** Such as `50/s`. */
  rate: line.optional(),
  limit: z.number().optional(),
  /** The count of the preview, needed above 100 messages. */
  expect: z.number().int().min(0).optional(),
  dryRun: z.boolean().default(false),
  ...about,
});

const texts = z.union([z.string(), z.array(z.string())]).optional();
const listing = z.strictObject({ state: oneOrMore(bulkStates), limit: texts, cursor: texts });

const titles = {
  pause: 'Pauses a bulk act from the next batch on',
  resume: 'Goes on with a paused or failed bulk act',
  stop: 'Ends a bulk act after the current batch',
} as const;

export function addBulk(admin: FastifyInstance, db: Database, reads: Executor): void {
  admin.post(
    '/bulk',
    { config: { about: 'Previews a bulk act, or starts it', body: bulk } },
    async (request) => {
      const args = await parseArguments({ name: 'bulk act', args: bulk }, request.body ?? {});
      const { dryRun, reason, by, ...given } = args;
      checkContents(request, parseFilter(given.filter));
      if (given.action === 'erase' && request.person) checkRole(request.person, 'admin');
      return dryRun ? acts.preview(db, given) : acts.start(db, actorOf(request, { reason, by }), given);
    },
  );
  admin.get(
    '/bulk',
    { config: { about: 'Lists bulk acts, newest first', query: listing } },
    async (request) =>
      listBulk(
        reads,
        parseBulkFilter(
          await parseArguments({ name: 'bulk acts', args: listing }, { ...(request.query as object) }),
        ),
      ),
  );
  admin.get<WithId>(
    '/bulk/:id',
    { config: { about: 'Shows a bulk act with its progress and results' } },
    (request) => showBulk(reads, request.params.id),
  );
  for (const move of ['pause', 'resume', 'stop'] as const)
    admin.post<WithId>(
      `/bulk/:id/${move}`,
      { config: { about: titles[move], body: z.strictObject(about) } },
      async (request) => {
        const args = await parseArguments({ name: move, args: z.strictObject(about) }, request.body ?? {});
        return acts.move(db, actorOf(request, args), request.params.id, move);
      },
    );
}
