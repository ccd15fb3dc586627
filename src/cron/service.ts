// Cron as services of processes: the scheduler with its sweep, and the report that a process has loaded the application.

import { listen } from '../db/listen.ts';
import { createNotify } from '../outbox/notify.ts';
import type { Milliseconds } from '../ports.ts';
import type { Host } from '../process/host.ts';
import { createWake, runLoop } from '../process/loop.ts';
import type { Service } from '../process/serve.ts';
import { activate, cronChannel, report } from './activation.ts';
import type { Manifest } from './manifest.ts';
import { createScheduler } from './scheduler.ts';
import { createCronSweep } from './sweep.ts';
import { createZones } from './zones.ts';

export function schedulerService(host: Host): Service {
  const { config, db, events, observe, progress, log } = host;
  const wake = createWake();
  const notify = createNotify(db, (error) => log.warn({ err: error }, 'a NOTIFY was not sent; workers poll'));
  const scheduler = createScheduler({ db, events, observe, notify, zones: createZones() });
  const sweep = createCronSweep({ db, events, observe, retentionMs: config.cronRetentionMs });

  return {
    name: 'scheduler',
    async run(signal) {
      const common = { signal, onError: events.loopFailed, observe, progress };
      const onError = (error: unknown): void => events.loopFailed('listen', error);
      await Promise.all([
        listen(db, [cronChannel], wake.wake, { signal, checkMs: 10_000, onError }),
        runLoop({ name: 'scheduler', step: () => scheduler(), wake, everyMs: 2_000 }, common),
        runLoop({ name: 'cron sweep', step: sweep }, common),
      ]);
    },
  };
}

/** Several reports within the time after which a process counts as gone. */
const reportInterval: Milliseconds = 5_000;

/**
 * Adds to a service the report that this process has loaded the manifest, and activates the manifest when it should be active.
 * @param delivers whether ticks run in this process
 */
export function withManifest(host: Host, manifest: Manifest, delivers: boolean, service: Service): Service {
  const { db, events, observe, progress, log, id } = host;
  const zones = createZones();
  let warned = false;

  async function step(): Promise<Milliseconds> {
    const { staged, elected } = await report(db, manifest, { process: id, delivers });
    if (!staged && !warned && manifest.jobs.length > 0)
      log.warn(
        { manifest: manifest.hash },
        'these cron jobs are not released and not scheduled: run `waybill release`',
      );
    warned = !staged;
    if (elected && (await activate(db, manifest, zones)))
      events.cronManifest(manifest.hash, 'the cron manifest of this process is active now');
    return reportInterval;
  }

  return {
    ...service,
    async run(signal) {
      const ended = new AbortController();
      const reporting = runLoop(
        { name: `manifest of ${service.name}`, step, everyMs: reportInterval },
        { signal: AbortSignal.any([signal, ended.signal]), observe, progress, onError: events.loopFailed },
      );
      try {
        await service.run(signal);
      } finally {
        ended.abort();
        await reporting;
      }
    },
  };
}
