// The page Now: one sentence that says what is wrong, five numbers, queues, processes, and what people did.

import { z } from 'zod';
import { readCron } from '../cron/overview.ts';
import { createZones } from '../cron/zones.ts';
import { listActs } from '../operate/audit.ts';
import { readSeries } from '../operate/series.ts';
import { readStats } from '../operate/stats.ts';
import { fleet } from '../process/heartbeat.ts';
import { listQueues } from '../queues/queues.ts';
import { readAdvice } from '../scale/decisions.ts';
import { actLines } from './audit.ts';
import { get } from './command.ts';
import { fiveNumbers } from './five.ts';
import { markup } from './markup.ts';
import { parametersOf, type Look, type Page, type View } from './page.ts';
import { processTable } from './process-table.ts';
import { queueTable } from './queue-table.ts';
import { sentenceOf } from './sentence.ts';

const zones = createZones();

export const nowPage: Page = { path: '/console', place: 'now', look };

async function look(asked: Look): Promise<View> {
  await parametersOf(z.strictObject({}), asked);
  const { db, session } = asked;
  const stats = await readStats(db);
  const queues = await listQueues(db);
  const processes = await fleet(db);
  const advice = await readAdvice(db);
  const { jobs } = await readCron(db, zones);
  const { acts } = await listActs(db, { limit: 8 });
  const { tone, headline, more } = sentenceOf({ stats, queues, processes, jobs });
  const content = markup`<h1 class="sr">Now</h1>
    <div class="say ${tone}"><strong>${headline}</strong>${more}</div>
    ${fiveNumbers(stats, await readSeries(db, '1h'))}
    <h2>Queues</h2>${queueTable({ queues, stats, advice, session })}
    <p class="cli"><code>waybill queues list</code></p>
    <div class="two"><div><h2>Processes</h2>${processTable(processes)}</div>
      <div><h2>What people did</h2>${actLines(acts)}</div></div>`;
  return {
    title: headline,
    content,
    commands: [
      { cli: 'waybill outbox stats', http: get('/outbox/stats') },
      { cli: 'waybill fleet', http: get('/fleet') },
    ],
  };
}
