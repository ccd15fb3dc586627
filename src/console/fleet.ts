// The page Fleet: processes, how many workers each queue needs and why, settings in force, connections, and tables.

import { z } from 'zod';
import { settingsInForce } from '../config/in-force.ts';
import { readStorage } from '../operate/storage.ts';
import { listDeploys, type Deploy } from '../process/deploys.ts';
import { fleet } from '../process/heartbeat.ts';
import { readAdvice, type QueueAdvice } from '../scale/decisions.ts';
import { get, post } from './command.ts';
import { duration, number, relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { parametersOf, type Page } from './page.ts';
import { wholeProcessTable } from './process-table.ts';
import { queuePath } from './queue-table.ts';
import { settingsOf } from './settings-table.ts';
import { storageOf } from './storage-table.ts';
import { table } from './table.ts';

export const fleetPage: Page = {
  path: '/console/fleet',
  place: 'fleet',
  async look(asked) {
    await parametersOf(z.strictObject({}), asked);
    const { db, session, config } = asked;
    const processes = await fleet(db);
    const advice = await readAdvice(db);
    const storage = await readStorage(db);
    return {
      title: 'Fleet',
      content: markup`<h1>Fleet</h1><h2>Processes</h2>${wholeProcessTable(session, processes)}${deployLine(await listDeploys(db))}
        <h2>Workers by queue</h2>${adviceTable(advice)}
        ${storageOf(storage)}
        <h2>Settings in force</h2>${settingsOf(processes, settingsInForce(config))}`,
      commands: [
        { cli: 'waybill fleet', http: get('/fleet') },
        { cli: 'waybill fleet quiet ID --for 30m', http: post('/fleet/ID/quiet', { for: '30m' }) },
        { cli: 'waybill fleet advise', http: get('/autoscale') },
        { cli: 'waybill storage', http: get('/storage') },
      ],
    };
  },
};

function deployLine(deploys: readonly Deploy[]): Markup | null {
  if (deploys.length === 0) return null;
  const names = deploys.map(
    ({ at, version, application }, i) =>
      markup`${i > 0 ? ', ' : ''}<code>${shown(application ?? version, 40)}</code> ${relative(at)}`,
  );
  return markup`<p class="meta">Versions began: ${names}.</p>`;
}

function adviceTable(advice: readonly QueueAdvice[]): Markup {
  return table(
    'Workers by queue',
    advice,
    [
      {
        head: 'Queue',
        as: 'lead',
        cell: ({ queue }) => markup`<a href="${queuePath(queue)}"><code>${shown(queue, 80)}</code></a>`,
      },
      { head: 'Workers', as: 'n', cell: ({ workers }) => number(workers) },
      {
        head: 'Recommended',
        as: 'n',
        cell: ({ recommended, workers }) =>
          markup`<span class="${recommended > workers ? 'warn' : ''}">${number(recommended)}</span>`,
      },
      {
        head: 'Arrive a second',
        as: 'n',
        cell: ({ arrivalPerSecond }) => String(Math.round(arrivalPerSecond * 100) / 100),
      },
      { head: 'Mean', as: 'n', cell: ({ meanSeconds }) => (meanSeconds > 0 ? duration(meanSeconds) : '–') },
      { head: 'Why', cell: ({ reasons }) => shown(reasons.join('; ')) },
    ],
    {
      empty: markup`No advice yet: it appears a few seconds after web or relay has started. <code>waybill run web relay</code> starts both.`,
      id: ({ queue }) => queue,
    },
  );
}
