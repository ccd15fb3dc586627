// The page Cron: all jobs, and the newest runs.

import { z } from 'zod';
import { listRuns } from '../cron/history.ts';
import { readCron } from '../cron/overview.ts';
import { createZones } from '../cron/zones.ts';
import { get } from './command.ts';
import { jobTable, runTable } from './cron-table.ts';
import { plural } from './figures.ts';
import { markup } from './markup.ts';
import { parametersOf, type Page } from './page.ts';

const zones = createZones();

export const cronPage: Page = {
  path: '/console/cron',
  place: 'cron',
  async look(asked) {
    await parametersOf(z.strictObject({}), asked);
    const { db, session } = asked;
    const { jobs } = await readCron(db, zones);
    const { runs } = await listRuns(db, { limit: 20 });
    const late = jobs.filter(({ overdueSeconds }) => (overdueSeconds ?? 0) > 60).length;
    const meta =
      late === 0
        ? 'Each tick becomes one message, even when several schedulers run.'
        : `${plural(late, 'job is', 'jobs are')} overdue. Their ticks are caught up when a scheduler runs, as each policy says.`;
    return {
      title: 'Cron',
      content: markup`<h1>Cron</h1><p class="meta">${meta}</p>
        ${jobTable(session, jobs)}<h2>Last runs</h2>${runTable(runs)}`,
      commands: [
        { cli: 'waybill cron list', http: get('/cron') },
        { cli: 'waybill cron runs', http: get('/cron/runs') },
      ],
    };
  },
};
