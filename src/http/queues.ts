// The admin API of queues: list with the reason of each closed queue, pause, resume, limits and groups, and the order keys that a dead
// message blocks.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import type { Executor } from '../db/executor.ts';
import { readPauseEnd } from '../operate/pause.ts';
import { listQueues, pauseQueue, resumeQueue } from '../queues/queues.ts';
import { WaybillError } from '../errors.ts';
import { cancelGroup, listGroups, mostGroups, pauseGroup, resumeGroup } from '../operate/groups.ts';
import { limitQueue, readLimits, resetLimits } from '../operate/limits.ts';
import { listBlockedKeys, unblockKey } from '../operate/order.ts';
import { operatorOf } from './auth.ts';

type WithName = { Params: { name: string } };

const line = z.string().min(1).max(500);

const pause = z.strictObject({
  reason: line.nullish(),
  /** The operator; the key does not identify a person. */
  by: line.optional(),
  /** When it reopens: a time, or a duration such as `2h`. */
  until: line.optional(),
  for: line.optional(),
  /** Only the messages of this group. */
  group: line.optional(),
});

const resume = z.strictObject({ group: line.optional() });

/** A number, or its text, or `none`. */
const count = z.union([z.number(), line]).transform(String).optional();

const limit = z.strictObject({
  reason: line.nullish(),
  by: line.optional(),
  reset: z.boolean().optional(),
  rate: line.optional(),
  burst: count,
  concurrency: count,
  perProcess: count,
  perGroupConcurrency: count,
  perGroupRate: line.optional(),
  ramp: line.optional(),
});

const unblock = z.strictObject({
  orderKey: z.string().min(1).max(200),
  reason: line.nullish(),
  by: line.optional(),
});

const listing = z.strictObject({ limit: z.coerce.number().int().min(1).max(mostGroups).default(100) });

const cancel = z.strictObject({ group: line, dryRun: z.boolean().default(false) });

type Page = WithName & { Querystring: { limit?: string | string[] } };

export function addQueues(admin: FastifyInstance, db: Executor): void {
  admin.get('/queues', async () => ({ queues: await listQueues(db) }));
  admin.post<WithName>('/queues/:name/pause', async (request) => {
    const { reason, by, group, ...end } = await parseArguments(
      { name: 'pause', args: pause },
      request.body ?? {},
    );
    const operator = operatorOf(request) ?? 'admin API';
    const about = { reason: reason ?? null, by: by ?? operator, ...readPauseEnd(end) };
    const { name } = request.params;
    return group === undefined ? pauseQueue(db, name, about) : pauseGroup(db, name, group, about);
  });
  admin.post<WithName>('/queues/:name/resume', async (request) => {
    const { group } = await parseArguments({ name: 'resume', args: resume }, request.body ?? {});
    const { name } = request.params;
    return group === undefined ? resumeQueue(db, name) : resumeGroup(db, name, group);
  });
  admin.post<WithName>('/queues/:name/limit', async (request) => {
    const given = await parseArguments({ name: 'limit', args: limit }, request.body ?? {});
    const { reason = null, by = operatorOf(request) ?? 'admin API', reset = false, ...limits } = given;
    if (reset && Object.keys(limits).length > 0)
      throw new WaybillError(
        'invalid_limit_value',
        'reset takes all limits of operators back: give no limit beside it',
      );
    const { name } = request.params;
    return reset
      ? resetLimits(db, name, { by, reason })
      : limitQueue(db, name, readLimits(limits), { by, reason });
  });
  admin.get<WithName & { Querystring: unknown }>('/queues/:name/groups', async (request) => {
    const { limit: most } = await parseArguments({ name: 'groups', args: listing }, request.query);
    return { groups: await listGroups(db, request.params.name, most) };
  });
  admin.post<WithName>('/queues/:name/cancel', async (request) => {
    const { group, dryRun } = await parseArguments({ name: 'cancel', args: cancel }, request.body ?? {});
    return cancelGroup(db, request.params.name, group, { dryRun });
  });
  addOrderKeys(admin, db);
}

function addOrderKeys(admin: FastifyInstance, db: Executor): void {
  admin.get<Page>('/queues/:name/blocked', async ({ params, query }) => ({
    blocked: await listBlockedKeys(db, params.name, query.limit),
  }));
  admin.post<WithName>('/queues/:name/unblock', async (request) => {
    const args = await parseArguments({ name: 'unblock', args: unblock }, request.body ?? {});
    const { orderKey, reason = null, by = operatorOf(request) ?? 'admin API' } = args;
    return unblockKey(db, { queue: request.params.name, orderKey }, { by, reason });
  });
}
