// The admin API of queues: list with the reason of each closed queue, pause, resume, limits and groups, and the order keys that a dead
// message blocks.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import * as acts from '../acts/queues.ts';
import { readPauseEnd } from '../operate/pause.ts';
import { listQueues } from '../queues/queues.ts';
import { WaybillError } from '../errors.ts';
import { listGroups, mostGroups } from '../operate/groups.ts';
import { readLimits } from '../operate/limits.ts';
import { listBlockedKeys } from '../operate/order.ts';
import { actorOf } from './people.ts';

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

const resume = z.strictObject({ group: line.optional(), reason: line.nullish(), by: line.optional() });

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

const texts = z.union([z.string(), z.array(z.string())]).optional();
const blockedQuery = z.strictObject({ limit: texts, cursor: texts });
const listing = z.strictObject({ limit: z.coerce.number().int().min(1).max(mostGroups).default(100) });

const cancel = z.strictObject({
  group: line,
  dryRun: z.boolean().default(false),
  reason: line.nullish(),
  by: line.optional(),
});

/** Every queue, which must be said. */
const every = {
  all: z.literal(true),
  except: z.array(line).max(1_000).default([]),
  reason: line.nullish(),
  by: line.optional(),
};
const pauseEvery = z.strictObject({ ...every, until: line.optional(), for: line.optional() });
const resumeEvery = z.strictObject(every);

function addEvery(admin: FastifyInstance, db: Database): void {
  admin.post(
    '/queues/pause',
    { config: { about: 'Pauses all queues but those that are named', body: pauseEvery } },
    async (request) => {
      const given = await parseArguments({ name: 'pause', args: pauseEvery }, request.body ?? {});
      const { all: _, except, reason, by, ...end } = given;
      return { queues: await acts.pauseAll(db, actorOf(request, { reason, by }), except, readPauseEnd(end)) };
    },
  );
  admin.post(
    '/queues/resume',
    { config: { about: 'Resumes all queues but those that are named', body: resumeEvery } },
    async (request) => {
      const { except, ...given } = await parseArguments(
        { name: 'resume', args: resumeEvery },
        request.body ?? {},
      );
      return { queues: await acts.resumeAll(db, actorOf(request, given), except) };
    },
  );
}

export function addQueues(admin: FastifyInstance, db: Database, reads: Executor): void {
  admin.get(
    '/queues',
    { config: { about: 'Lists the queues, what holds them back and their limits' } },
    async () => ({ queues: await listQueues(reads) }),
  );
  admin.post<WithName>(
    '/queues/:name/pause',
    { config: { about: 'Pauses a queue, or one group of it', body: pause } },
    async (request) => {
      const { reason, by, group, ...end } = await parseArguments(
        { name: 'pause', args: pause },
        request.body ?? {},
      );
      const { name } = request.params;
      const [actor, until] = [actorOf(request, { reason, by }), readPauseEnd(end)];
      return group === undefined
        ? acts.pause(db, actor, name, until)
        : acts.pauseOf(db, actor, { queue: name, group }, until);
    },
  );
  admin.post<WithName>(
    '/queues/:name/resume',
    { config: { about: 'Ends a pause, a parking or a hold', body: resume } },
    async (request) => {
      const { group, ...about } = await parseArguments({ name: 'resume', args: resume }, request.body ?? {});
      const { name } = request.params;
      const actor = actorOf(request, about);
      return group === undefined
        ? acts.resume(db, actor, name)
        : acts.resumeOf(db, actor, { queue: name, group });
    },
  );
  addEvery(admin, db);
  addLimits(admin, db, reads);
  addOrderKeys(admin, db, reads);
  addCancel(admin, db);
}

function addLimits(admin: FastifyInstance, db: Database, reads: Executor): void {
  admin.post<WithName>(
    '/queues/:name/limit',
    { config: { about: "Sets limits instead of the application's, or resets them", body: limit } },
    async (request) => {
      const given = await parseArguments({ name: 'limit', args: limit }, request.body ?? {});
      const { reason, by, reset = false, ...limits } = given;
      if (reset && Object.keys(limits).length > 0)
        throw new WaybillError(
          'invalid_limit_value',
          'reset takes all limits of operators back: give no limit beside it',
        );
      const { name } = request.params;
      return acts.limit(db, actorOf(request, { reason, by }), name, reset ? undefined : readLimits(limits));
    },
  );
  admin.get<WithName & { Querystring: unknown }>(
    '/queues/:name/groups',
    {
      config: {
        about: 'Lists the groups of a queue: paused and parked ones, then the largest',
        query: listing,
      },
    },
    async (request) => {
      const { limit: most } = await parseArguments({ name: 'groups', args: listing }, request.query);
      return listGroups(reads, request.params.name, most);
    },
  );
}

function addCancel(admin: FastifyInstance, db: Database): void {
  admin.post<WithName>(
    '/queues/:name/cancel',
    { config: { about: 'Cancels the waiting messages of a group', body: cancel } },
    async (request) => {
      const { group, dryRun, ...about } = await parseArguments(
        { name: 'cancel', args: cancel },
        request.body ?? {},
      );
      return acts.cancelOf(db, actorOf(request, about), { queue: request.params.name, group }, { dryRun });
    },
  );
}

function addOrderKeys(admin: FastifyInstance, db: Database, reads: Executor): void {
  admin.get<WithName>(
    '/queues/:name/blocked',
    { config: { about: 'Lists order keys that a dead message blocks, oldest first', query: blockedQuery } },
    async (request) => {
      const query = { ...(request.query as object) };
      const given = await parseArguments({ name: 'blocked', args: blockedQuery }, query);
      return listBlockedKeys(reads, request.params.name, given);
    },
  );
  admin.post<WithName>(
    '/queues/:name/unblock',
    { config: { about: 'Lets an order key go on without its dead message', body: unblock } },
    async (request) => {
      const args = await parseArguments({ name: 'unblock', args: unblock }, request.body ?? {});
      const { orderKey, ...about } = args;
      return acts.unblock(db, actorOf(request, about), { queue: request.params.name, orderKey });
    },
  );
}
