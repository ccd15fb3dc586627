// The relay as a service of a process: it relays, sweeps, prunes and works bulk acts off, and NOTIFY wakes it.

import { listen, type Notification } from '../db/listen.ts';
import { createCheck } from './check.ts';
import { outboxChannel } from '../outbox/notify.ts';
import { takeMinute } from '../operate/series.ts';
import type { Milliseconds } from '../ports.ts';
import type { Host } from '../process/host.ts';
import { createWake, runLoop } from '../process/loop.ts';
import type { Service } from '../process/serve.ts';
import type { WakeUpQueue } from '../queue/boss.ts';
import { bulkChannel } from '../operate/bulk.ts';
import { createBulk } from './bulk.ts';
import { createPrune } from './prune.ts';
import { createRelay } from './relay.ts';
import { createSweep } from './sweep.ts';

/** With a lease of 15 s, a dead worker's messages are due again within 16 s. */
const sweepIntervalMs = 1_000;

/** Not shorter: a batch may keep the disk busy for long. */
const pruneIntervalMs = 60_000;

/** A batch may read a stretch of a large table from a slow disk. */
const bulkIntervalMs = 10_000;

/** Time from a NOTIFY to the relay's step. A worker with a free slot has claimed the message long before. */
const headStartMs = 5;

// oxlint-disable-next-line max-lines-per-function -- the composition of one service
export function relayService(host: Host, queue: WakeUpQueue): Service {
  const { config, db, events, observe, progress, clock } = host;
  const wake = createWake();
  let waiting: NodeJS.Timeout | undefined;
  let isDue = true; // the relay has a reason to run without a check
  const wakeRelay = (): void => {
    isDue = true;
    wake.wake();
  };
  const bulkWake = createWake();
  let isBulkDue = true; // the loop of bulk acts has a reason to look without a check
  const heard = ({ channel }: Pick<Notification, 'channel'>): void => {
    if (channel === bulkChannel) {
      isBulkDue = true;
      bulkWake.wake();
      return;
    }
    waiting ??= setTimeout(() => {
      waiting = undefined;
      wakeRelay();
    }, headStartMs);
  };
  const check = createCheck(db, clock, 0.5 * Math.min(config.pollIntervalMs, sweepIntervalMs));
  const relay = createRelay({ db, queue, events, observe, clock, pollIntervalMs: config.pollIntervalMs });
  const sweep = createSweep({ db, events, observe, intervalMs: sweepIntervalMs, wakeRelay });
  const bulk = createBulk({ db, clock, observe, idleMs: sweepIntervalMs });
  const retention = {
    deliveredMs: config.deliveredRetentionMs,
    deadMs: config.deadRetentionMs,
    keyMs: config.keyRetentionMs,
  };
  const prune = createPrune({ db, events, observe, retention, auditRetentionMs: config.auditRetentionMs });

  async function relayWhenDue(): Promise<Milliseconds> {
    if (!isDue && !(await check()).due) return config.pollIntervalMs;
    isDue = false; // before the step: a NOTIFY during it counts
    const delay = await relay();
    isDue ||= delay < config.pollIntervalMs;
    return delay;
  }

  const sweepWhenLapsed = async (): Promise<Milliseconds> =>
    (await check()).lapsed ? sweep() : sweepIntervalMs;

  async function bulkWhenRunning(): Promise<Milliseconds> {
    if (!isBulkDue && !(await check()).bulk) return sweepIntervalMs;
    isBulkDue = false;
    return bulk();
  }

  return {
    name: 'relay',
    async run(signal) {
      const common = { signal, onError: events.loopFailed, observe, progress };
      const onError = (error: unknown): void => events.loopFailed('listen', error);
      await Promise.all([
        listen(db, [outboxChannel, bulkChannel], heard, { signal, checkMs: 10_000, onError }),
        runLoop({ name: 'relay', step: relayWhenDue, wake, everyMs: config.pollIntervalMs }, common),
        runLoop({ name: 'sweep', step: sweepWhenLapsed, everyMs: sweepIntervalMs }, common),
        runLoop({ name: 'bulk', step: bulkWhenRunning, wake: bulkWake, everyMs: bulkIntervalMs }, common),
        runLoop({ name: 'prune', step: prune, everyMs: pruneIntervalMs }, common),
        runLoop({ name: 'series', step: () => takeMinute(db), everyMs: 60_000 }, common),
      ]);
      await queue.close();
    },
  };
}
