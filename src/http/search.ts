// The search for messages over the admin API: the list, the count, groups, and what is related to a message.

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import type { Executor } from '../db/executor.ts';
import { WaybillError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import { countMessages } from '../operate/count.ts';
import { orders, parseFilter, type Filter, type MessageFilter } from '../operate/filter.ts';
import { groupings, groupMessages, readGrouping, windows } from '../operate/grouping.ts';
import { listMessages } from '../operate/read.ts';
import { relatedMessages } from '../operate/related.ts';
import { listRunning } from '../operate/running.ts';
import { filters, listed } from './filters.ts';
import { checkRole } from './people.ts';

type Query = Readonly<Record<string, string | string[] | undefined>>;
type WithId = { Params: { id: string } };

const one = z.string().optional();
const listQuery = z.object({
  ...filters,
  limit: one,
  cursor: one,
  order: listed(z.string(), orders).optional(),
});
const runningQuery = z.strictObject({ limit: one });
const groupsQuery = z.object({
  ...filters,
  by: listed(z.string(), groupings),
  window: listed(z.string(), windows).optional(),
  limit: one,
});

export function addSearch(admin: FastifyInstance, db: Executor): void {
  admin.get(
    '/outbox',
    { config: { about: 'Lists messages that match, newest first', query: listQuery } },
    (request) => listMessages(db, filterOf(request, ['limit', 'cursor', 'order'])),
  );
  admin.get(
    '/outbox/count',
    { config: { about: 'Counts the messages that match, up to a bound', query: z.object(filters) } },
    (request) => countMessages(db, filterOf(request)),
  );
  admin.get(
    '/outbox/running',
    { config: { about: 'Lists what runs now, the longest first', query: runningQuery } },
    async (request) => {
      const query = { ...(request.query as object) };
      const { limit } = await parseArguments({ name: 'running', args: runningQuery }, query);
      return listRunning(db, limit);
    },
  );
  admin.get(
    '/outbox/groups',
    { config: { about: 'Groups messages by error, name, cause, tag or group', query: groupsQuery } },
    (request) => {
      const { limit, ...filter } = filterOf(request, ['by', 'window', 'limit']);
      const { by, window } = request.query as Query;
      return groupMessages(db, readGrouping(by, window), filter, limit);
    },
  );
  admin.get<WithId>(
    '/outbox/:id/related',
    { config: { about: 'Lists the parent, the children and other messages of the same origin' } },
    (request) => relatedMessages(db, request.params.id),
  );
}

/** @throws WaybillError `unknown_parameter`, because ignoring a misspelt filter would show everything */
export function filterOf(request: FastifyRequest, more: readonly string[] = []): Filter {
  const query = request.query as Query;
  const parameters = [...Object.keys(filters), ...more];
  for (const name of Object.keys(query)) {
    if (parameters.includes(name) || name.startsWith('payload.')) continue;
    const meant = nearest(name, parameters);
    const hint = meant ? `did you mean ${meant}?` : `there are ${parameters.join(', ')}`;
    throw new WaybillError(
      'unknown_parameter',
      `there is no parameter ${JSON.stringify(name.slice(0, 80))}: ${hint}`,
    );
  }
  const filter = parseFilter(query);
  checkContents(request, filter);
  return filter;
}

/**
 * Only an admin may search in payloads: whoever may ask for a value has read it.
 * @throws WaybillError `forbidden`
 */
export function checkContents({ person }: FastifyRequest, { payload }: MessageFilter): void {
  if (payload !== undefined && person !== undefined) checkRole(person, 'admin');
}
