// The page Fleet: processes, how many workers each queue needs and why, and the settings in force.

import { z } from 'zod';
import { fleet } from '../process/heartbeat.ts';
import type { Host } from '../process/host.ts';
import { readAdvice, type QueueAdvice } from '../scale/decisions.ts';
import { get } from './command.ts';
import { duration, number, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { parametersOf, type Page } from './page.ts';
import { processTable } from './process-table.ts';
import { queuePath } from './queue-table.ts';
import { table } from './table.ts';

export const fleetPage: Page = {
  path: '/console/fleet',
  place: 'fleet',
  async look(asked) {
    await parametersOf(z.strictObject({}), asked);
    const processes = await fleet(asked.db);
    const advice = await readAdvice(asked.db);
    return {
      title: 'Fleet',
      content: markup`<h1>Fleet</h1><h2>Processes</h2>${processTable(processes, { whole: true })}
        <h2>Workers by queue</h2>${adviceTable(advice)}<h2>Settings of this web process</h2>${settings(asked.config)}`,
      commands: [
        { cli: 'waybill fleet', http: get('/fleet') },
        { cli: 'waybill env list', http: get('/autoscale') },
      ],
    };
  },
};

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
      empty: markup`No advice yet: it appears a few seconds after web or relay has started.`,
      id: ({ queue }) => queue,
    },
  );
}

function settings(config: Host['config']): Markup {
  const time = (ms: number): string => duration(ms / 1_000);
  const rows: readonly (readonly [string, string])[] = [
    ['NODE_ENV', config.production ? 'production' : 'development'],
    ['WAYBILL_EMAIL_PROVIDER', config.emailProvider ?? 'of the application, or log'],
    ['WAYBILL_LEASE', time(config.leaseMs)],
    ['WAYBILL_CONCURRENCY', number(config.concurrency)],
    ['WAYBILL_POOL_MAX', config.poolMax === null ? 'by role' : number(config.poolMax)],
    ['WAYBILL_DELIVERED_RETENTION', time(config.deliveredRetentionMs)],
    ['WAYBILL_DEAD_RETENTION', time(config.deadRetentionMs)],
    ['WAYBILL_AUDIT_RETENTION', time(config.auditRetentionMs)],
    ['WAYBILL_KEY_RETENTION', time(config.keyRetentionMs)],
    ['WAYBILL_CRON_RETENTION', time(config.cronRetentionMs)],
    ['WAYBILL_SHUTDOWN_GRACE', time(config.shutdownGraceMs)],
    ['WAYBILL_STALL_LIMIT', time(config.stallLimitMs)],
    ['WAYBILL_MAX_PAYLOAD_BYTES', number(config.maxPayloadBytes)],
  ];
  return markup`<dl class="facts">${rows.map(([name, value]) => markup`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}
