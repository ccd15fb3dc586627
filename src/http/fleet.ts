// The admin API of processes and of the storage: the list of processes, quieting one, the sizes of tables, and sums of each minute.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import { goOn, quiet } from '../acts/fleet.ts';
import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import { readPauseEnd } from '../operate/pause.ts';
import { parseSeries, readSeries, seriesNames, seriesWindows } from '../operate/series.ts';
import { readStorage } from '../operate/storage.ts';
import { listDeploys } from '../process/deploys.ts';
import { fleet } from '../process/heartbeat.ts';
import { listed } from './filters.ts';
import { actorOf } from './people.ts';

type WithId = { Params: { id: string } };

const about = { reason: z.string().min(1).max(1_000).nullish(), by: z.string().min(1).max(200).optional() };
const line = z.string().min(1).max(100).optional();
const quieting = z.strictObject({ until: line, for: line, ...about });
const asked = z.strictObject({ name: listed(line, seriesNames), window: listed(line, seriesWindows) });
const resuming = z.strictObject(about);

export function addFleet(admin: FastifyInstance, db: Database, reads: Executor): void {
  admin.get('/fleet', { config: { about: 'Lists the processes and what they do' } }, async () => ({
    processes: await fleet(reads),
    deploys: await listDeploys(reads),
  }));
  admin.get(
    '/series',
    { config: { about: 'Sums for each minute, by name', query: asked } },
    async (request) => {
      const args = await parseArguments({ name: 'series', args: asked }, { ...(request.query as object) });
      const { window, name } = parseSeries(args);
      return readSeries(reads, window, name);
    },
  );
  admin.get('/storage', { config: { about: 'Sizes, dead rows and prunes of the tables' } }, () =>
    readStorage(reads),
  );
  admin.post<WithId>(
    '/fleet/:id/quiet',
    { config: { about: 'A process claims nothing more', body: quieting } },
    async (request) => {
      const given = await parseArguments({ name: 'quiet', args: quieting }, request.body ?? {});
      const { reason, by, ...end } = given;
      return quiet(db, actorOf(request, { reason, by }), request.params.id, readPauseEnd(end));
    },
  );
  admin.post<WithId>(
    '/fleet/:id/resume',
    { config: { about: 'A quiet process claims again', body: resuming } },
    async (request) => {
      const given = await parseArguments({ name: 'resume', args: resuming }, request.body ?? {});
      return goOn(db, actorOf(request, given), request.params.id);
    },
  );
}
