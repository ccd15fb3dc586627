// The page Now: one sentence that says what is wrong, five numbers, queues, processes, and what people did.

import { z } from 'zod';
import { listActs } from '../operate/audit.ts';
import { readLatency } from '../operate/latency.ts';
import { readSeries, type Series } from '../operate/series.ts';
import { readStats } from '../operate/stats.ts';
import { readTroubles } from '../operate/troubles.ts';
import { listDeploys, type Deploy } from '../process/deploys.ts';
import { fleet } from '../process/heartbeat.ts';
import { listQueues } from '../queues/queues.ts';
import { readAdvice } from '../scale/decisions.ts';
import type { Facts } from './alarms.ts';
import { actLines } from './audit.ts';
import { get } from './command.ts';
import { fiveNumbers, minutes, total } from './five.ts';
import { markup } from './markup.ts';
import { parametersOf, type Look, type Page, type View } from './page.ts';
import { processTable } from './process-table.ts';
import { queueTable } from './queue-table.ts';
import { everyQueue } from './queues.ts';
import { sentenceOf } from './sentence.ts';

export const nowPage: Page = { path: '/console', place: 'now', look };

/** Advice changes every ten seconds, the sums once a minute. What the sentence needs of messages is always read. Milliseconds. */
const soon = 5_000;
const later = 20_000;

async function look(asked: Look): Promise<View> {
  await parametersOf(z.strictObject({}), asked);
  const { db, session, kept } = asked;
  const now = Date.now();
  const stats = await readStats(db);
  const queues = await listQueues(db);
  const processes = await fleet(db);
  const { acts } = await listActs(db, { limit: 8 });
  const troubles = await readTroubles(db);
  const advice = await kept('advice', soon, () => readAdvice(db));
  const series = await kept('series', later, () => readSeries(db, '1h'));
  const deploys = await kept('deploys', later, async () => lastHour(await listDeploys(db), now));
  const latency = await kept('latency', later, () => readLatency(db, stats.oldestDueSeconds, now));
  const facts: Facts = { stats, queues, processes, advice, troubles, now, halfHour: halfHour(series) };
  const { tone, headline, more } = sentenceOf(facts);
  const content = markup`<h1 class="sr">Now</h1>
    <div class="say ${tone}"><strong>${headline}</strong>${more}</div>
    ${fiveNumbers({ stats, series, troubles, deploys })}
    <h2>Queues</h2>${queueTable({ queues, stats, advice, latency, session })}${everyQueue(session, queues)}
    <p class="cli"><code>waybill queues list</code></p>
    <div class="two"><div><h2>Processes</h2>${processTable(processes)}</div>
      <div><h2>What people did</h2>${actLines(acts)}</div></div>`;
  return {
    title: headline,
    content,
    commands: [
      { cli: 'waybill outbox stats', http: get('/outbox/stats') },
      { cli: 'waybill series', http: get('/series') },
      { cli: 'waybill fleet', http: get('/fleet') },
    ],
  };
}

const hourMs = 3_600_000;

/** The oldest first. */
const lastHour = (deploys: readonly Deploy[], now: number): Deploy[] =>
  deploys.filter(({ at }) => at instanceof Date && at.getTime() > now - hourMs).toReversed();

/** Null: no relay took the sums. */
function halfHour(series: Series): Facts['halfHour'] {
  const recorded = minutes(series, 'recorded').slice(-30);
  const delivered = minutes(series, 'delivered').slice(-30);
  const isKnown = recorded.some((value) => value !== null);
  return isKnown ? { recorded: total(recorded), delivered: total(delivered) } : null;
}
