// Cron on a test database without processes: a scheduler whose time the test sets, and a worker that takes one step when it is told to.

import { pino } from 'pino';
import { activate, report } from '../../src/cron/activation.ts';
import { manifestOf, stageManifest, type Manifest } from '../../src/cron/manifest.ts';
import { createScheduler } from '../../src/cron/scheduler.ts';
import { createCronSweep } from '../../src/cron/sweep.ts';
import { createZones } from '../../src/cron/zones.ts';
import type { Database } from '../../src/db/pool.ts';
import type { App } from '../../src/define/app.ts';
import { createRegistry } from '../../src/define/registry.ts';
import { drainOutbox } from '../../src/drain/drain.ts';
import { createMetrics } from '../../src/metrics/catalogue.ts';
import { createEvents } from '../../src/metrics/events.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';

export const at = (text: string): Date => new Date(text);

export type CronWorld = ReturnType<typeof cronWorld>;

export function cronWorld(db: Database) {
  const zones = createZones();
  const log = pino({ level: 'silent' });
  const metrics = createMetrics({ version: 'test' });
  const events = createEvents(log, metrics);
  const observe = (): void => undefined;
  const notify = (): void => undefined;
  const scheduler = createScheduler({ db, zones, events, observe, notify });

  async function passes(step: (at?: Date | null) => Promise<number>, now: Date): Promise<void> {
    while ((await step(now)) === 0);
  }

  async function rows<Row>(sql: string, values: unknown[] = []): Promise<Row[]> {
    return (await db.executeSql<Row>(sql, values)).rows;
  }

  return {
    zones,
    metrics,
    events,
    rows,
    scheduler: () => createScheduler({ db, zones, events, observe, notify }),
    /** A process has loaded the manifest. Gives whether it is to be active now. */
    loaded: (manifest: Manifest, process = manifest.hash, delivers = true) =>
      report(db, manifest, { process, delivers }),
    manifestOf,
    stage: (manifest: Manifest) => stageManifest(db, manifest),
    activate: (manifest: Manifest, now: Date | null = null) => activate(db, manifest, zones, now),
    /** Released, loaded and active, at this time. */
    async deploy(app: App, now: Date): Promise<Manifest> {
      const manifest = manifestOf(app);
      await stageManifest(db, manifest);
      await report(db, manifest, { process: manifest.hash, delivers: true });
      await activate(db, manifest, zones, now);
      return manifest;
    },
    /** The scheduler works until nothing is due at this time. */
    schedule: (now: string) => passes(scheduler, at(now)),
    sweep: (retentionMs = 30 * 86_400_000) => createCronSweep({ db, events, observe, retentionMs })(),
    /** Ticks of a job: the minute, the status, what was skipped before it. */
    async ticks(name: string): Promise<string[]> {
      const found = await rows<{ tick: Date; status: string; reason: string | null; skipped: number }>(
        `select scheduled_at as tick, status, reason, skipped_ticks as skipped from waybill.cron_runs where name = $1 order by scheduled_at, id`,
        [name],
      );
      return found.map(({ tick, status, reason, skipped }) =>
        [tick.toISOString().slice(0, 16), reason ?? status, ...(skipped > 0 ? [`+${skipped}`] : [])].join(
          ' ',
        ),
      );
    },
    /** A worker of this application takes what is due, once. */
    async work(app: App): Promise<void> {
      await drainOutbox({
        outbox: createPostgresOutbox(db),
        registry: createRegistry(app),
        pool: db,
        log,
        concurrency: 1,
      });
    },
  };
}
