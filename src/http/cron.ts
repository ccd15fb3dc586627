// The admin API of cron at /admin/cron: the schedule, the history of runs, manual runs, and what a person does to a job.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import { listRuns, parseRunFilter } from '../cron/history.ts';
import { readScheduledAt } from '../cron/manual.ts';
import { backfillCron, disableCron, enableCron, runCron } from '../acts/cron.ts';
import { readRange } from '../cron/backfill.ts';
import { readPauseEnd } from '../operate/pause.ts';
import { oneOrMore } from './filters.ts';
import { actorOf } from './people.ts';
import { runStatuses } from '../cron/runs.ts';
import { readCron } from '../cron/overview.ts';
import { previewCron, readSpan } from '../cron/preview.ts';
import { createZones } from '../cron/zones.ts';
import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';

export type CronPorts = {
  readonly db: Database;
  readonly reads: Executor;
  /** Called after each change. */
  readonly notify: () => void;
};

/** Strict, so that a misspelt filter is an error with a hint; ignoring it would show everything. */
const texts = z.union([z.string(), z.array(z.string())]).optional();
const filter = z.strictObject({ name: texts, status: oneOrMore(runStatuses), limit: texts, cursor: texts });

const about = { reason: z.string().min(1).max(1_000).nullish(), by: z.string().min(1).max(200).optional() };
const order = z.strictObject({ scheduledAt: z.union([z.number(), z.string()]).optional(), ...about });
const text = z.string().min(1).max(100).optional();
const disabling = z.strictObject({ until: text, for: text, ...about });
const enabling = z.strictObject(about);
const range = z.strictObject({
  from: text,
  to: text,
  dryRun: z.boolean().default(false),
  /** How many ticks a dry run named; needed above 100. */
  expect: z.number().int().min(0).optional(),
  ...about,
});
const span = z.strictObject({ from: text, to: text });

type WithName = { Params: { name: string } };

export function addCron(admin: FastifyInstance, { db, reads, notify }: CronPorts): void {
  const zones = createZones();
  admin.get('/cron', { config: { about: 'Shows the schedule, its manifests and what is overdue' } }, () =>
    readCron(reads, zones),
  );
  admin.get(
    '/cron/runs',
    { config: { about: 'Lists runs, newest first', query: filter } },
    async (request) => {
      const query = await parseArguments({ name: 'runs', args: filter }, { ...(request.query as object) });
      return listRuns(reads, parseRunFilter(query));
    },
  );
  admin.get<WithName>(
    '/cron/:name/preview',
    { config: { about: 'Shows which ticks a catch-up would run and skip', query: span } },
    async (request) => {
      const given = await parseArguments({ name: 'preview', args: span }, { ...(request.query as object) });
      return previewCron(reads, zones, request.params.name, readSpan(given));
    },
  );
  admin.post<WithName>(
    '/cron/:name/run',
    { config: { about: 'Runs a job now', body: order } },
    async (request) => {
      const { scheduledAt, ...about } = await parseArguments(
        { name: 'run', args: order },
        request.body ?? {},
      );
      const run = await runCron(
        db,
        actorOf(request, about),
        request.params.name,
        scheduledAt === undefined ? null : readScheduledAt(scheduledAt),
      );
      notify();
      return run;
    },
  );
  addScheduleActs(admin, db);
}

function addScheduleActs(admin: FastifyInstance, db: Database): void {
  admin.post<WithName>(
    '/cron/:name/disable',
    { config: { about: 'Dispatches no tick of a job until it is enabled', body: disabling } },
    async (request) => {
      const given = await parseArguments({ name: 'disable', args: disabling }, request.body ?? {});
      const { reason, by, ...end } = given;
      return disableCron(db, actorOf(request, { reason, by }), request.params.name, readPauseEnd(end));
    },
  );
  admin.post<WithName>(
    '/cron/:name/enable',
    { config: { about: 'Dispatches the ticks of a job again', body: enabling } },
    async (request) => {
      const given = await parseArguments({ name: 'enable', args: enabling }, request.body ?? {});
      return enableCron(db, actorOf(request, given), request.params.name);
    },
  );
  admin.post<WithName>(
    '/cron/:name/backfill',
    { config: { about: 'Dispatches the ticks of a range once, or counts them', body: range } },
    async (request) => {
      const given = await parseArguments({ name: 'backfill', args: range }, request.body ?? {});
      const { reason, by, dryRun, expect, ...ends } = given;
      const actor = actorOf(request, { reason, by });
      return backfillCron(db, actor, request.params.name, readRange(ends), { dryRun, expect });
    },
  );
}
