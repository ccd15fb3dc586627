// The admin API of queues: list with the reason of each closed queue, pause and resume.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import type { Executor } from '../db/executor.ts';
import { listQueues, pauseQueue, resumeQueue } from '../queues/queues.ts';
import { operatorOf } from './auth.ts';

type WithName = { Params: { name: string } };

const line = z.string().min(1).max(500);

const pause = z.strictObject({
  reason: line.nullish(),
  /** The operator; the key does not identify a person. */
  by: line.optional(),
});

export function addQueues(admin: FastifyInstance, db: Executor): void {
  admin.get('/queues', async () => ({ queues: await listQueues(db) }));
  admin.post<WithName>('/queues/:name/pause', async (request) => {
    const { reason, by } = await parseArguments({ name: 'pause', args: pause }, request.body ?? {});
    const operator = operatorOf(request) ?? 'admin API';
    return pauseQueue(db, request.params.name, { reason: reason ?? null, by: by ?? operator });
  });
  admin.post<WithName>('/queues/:name/resume', (request) => resumeQueue(db, request.params.name));
}
