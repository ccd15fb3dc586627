// The cron benchmark: a scheduler's pass over 10,000 jobs when none or all are due, and how late its process dispatches a tick.

import { setTimeout as sleep } from 'node:timers/promises';
import { activate, report } from '../src/cron/activation.ts';
import { manifestOf, stageManifest } from '../src/cron/manifest.ts';
import { createScheduler } from '../src/cron/scheduler.ts';
import { createZones } from '../src/cron/zones.ts';
import { defineApp, defineCron } from '../src/index.ts';
import { createMetrics } from '../src/metrics/catalogue.ts';
import { createEvents } from '../src/metrics/events.ts';
import { createLog } from '../src/metrics/log.ts';
import { noopAction } from './app.ts';
import { quantile } from './rounds.ts';
import type { BenchWorld } from './world.ts';

const zoneNames = ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kathmandu'];

export type CronFigures = {
  readonly jobs: number;
  readonly activateMs: number;
  readonly idlePassMs: { readonly p50: number; readonly max: number };
  readonly allDueMs: number;
  /** From a tick's time to its dispatch, by a process that slept until then. */
  readonly lateMs: readonly number[];
};

export async function cron(world: BenchWorld, jobs = 10_000): Promise<CronFigures> {
  const { db } = world;
  const app = defineApp({
    actions: [noopAction],
    cron: defineCron({
      jobs: Array.from({ length: jobs }, (_, i) => ({
        name: `job-${i}`,
        schedule: `${i % 60} ${Math.floor(i / 60) % 24} * * *`,
        timeZone: zoneNames[i % zoneNames.length]!,
        action: noopAction,
      })),
    }),
  });
  const manifest = manifestOf(app);
  await stageManifest(db, manifest);
  await report(db, manifest, { process: 'bench', delivers: true });
  const zones = createZones();
  const activateMs = await timed(() => activate(db, manifest, zones, new Date('2026-05-01T00:00:30Z')));

  const log = createLog({ level: 'silent', role: 'bench', process: 'bench' });
  const events = createEvents(log, createMetrics({ version: 'bench' }));
  const scheduler = createScheduler({ db, zones, events, observe: () => undefined, notify: () => undefined });
  await db.executeSql('analyze waybill.cron_jobs');
  const idle: number[] = [];
  for (let i = 0; i < 200; i++) idle.push(await timed(() => scheduler(new Date('2026-05-01T00:00:31Z'))));
  const allDueMs = await timed(async () => {
    while ((await scheduler(new Date('2026-05-02T00:00:30Z'))) === 0);
  });
  const sorted = idle.toSorted((a, b) => a - b);
  return {
    jobs,
    activateMs,
    allDueMs,
    idlePassMs: { p50: quantile(sorted, 0.5), max: sorted.at(-1)! },
    lateMs: await lateness(world),
  };
}

/** Two ticks of the minutely job of bench/app.ts, with an idle scheduler. */
async function lateness({ db, start }: BenchWorld): Promise<number[]> {
  const { default: app } = await import('./app.ts');
  await db.executeSql(
    'truncate waybill.cron_jobs, waybill.cron_runs, waybill.cron_loaded, waybill.cron_manifests',
  );
  await stageManifest(db, manifestOf(app));
  await start('scheduler');
  const late = `select extract(epoch from dispatched_at - scheduled_at)::float8 * 1000 as ms from waybill.cron_runs order by id`;
  for (;;) {
    const { rows } = await db.executeSql<{ ms: number }>(late);
    if (rows.length >= 2) return rows.map(({ ms }) => ms);
    await sleep(500);
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}
