// The admin API of cron at /admin/cron: the schedule, the history of runs, and manual runs.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import { listRuns, parseRunFilter } from '../cron/history.ts';
import { readScheduledAt } from '../cron/manual.ts';
import { runCron } from '../acts/cron.ts';
import { actorOf } from './people.ts';
import { readCron } from '../cron/overview.ts';
import { createZones } from '../cron/zones.ts';
import type { Database } from '../db/pool.ts';

export type CronPorts = {
  readonly db: Database;
  /** Called after each change. */
  readonly notify: () => void;
};

/** Strict, so that a misspelt filter is an error with a hint; ignoring it would show everything. */
const texts = z.union([z.string(), z.array(z.string())]).optional();
const filter = z.strictObject({ name: texts, status: texts, limit: texts, cursor: texts });

const order = z.strictObject({
  scheduledAt: z.union([z.number(), z.string()]).optional(),
  reason: z.string().min(1).max(1_000).nullish(),
  by: z.string().min(1).max(200).optional(),
});

export function addCron(admin: FastifyInstance, { db, notify }: CronPorts): void {
  const zones = createZones();
  admin.get('/cron', () => readCron(db, zones));
  admin.get('/cron/runs', async (request) => {
    const query = await parseArguments({ name: 'runs', args: filter }, { ...(request.query as object) });
    return listRuns(db, parseRunFilter(query));
  });
  admin.post<{ Params: { name: string } }>('/cron/:name/run', async (request) => {
    const { scheduledAt, ...about } = await parseArguments({ name: 'run', args: order }, request.body ?? {});
    const run = await runCron(
      db,
      actorOf(request, about),
      request.params.name,
      scheduledAt === undefined ? null : readScheduledAt(scheduledAt),
    );
    notify();
    return run;
  });
}
