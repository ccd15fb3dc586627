// The relay as a part of a process: relaying, sweeping and pruning, woken by the nudge.

import { listen } from '../db/listen.ts';
import { createLook } from '../outbox/look.ts';
import { outboxChannel } from '../outbox/nudge.ts';
import type { Milliseconds } from '../ports.ts';
import type { Host } from '../process/host.ts';
import { createWake, runLoop } from '../process/loop.ts';
import type { Part } from '../process/run.ts';
import type { ParcelQueue } from '../queue/boss.ts';
import { createProbe } from './probe.ts';
import { createPrune } from './prune.ts';
import { createRelay } from './relay.ts';
import { createSweep } from './sweep.ts';

/** With a lease of 15 s, what a dead worker held is due again within 16 s. */
const sweepIntervalMs = 1_000;
/** How late a probe may begin. */
const probeIntervalMs = 1_000;

/** A batch takes what the disk takes for it. */
const pruneIntervalMs = 60_000;

/** From a nudge to the relay's step. A worker that has a free slot has claimed the message long before. */
const headStartMs = 5;

/** A message may be relayed and unclaimed for so long before its parcel is looked for. */
const suspectAfterMs = 10_000;

export function relayPart(host: Host, queue: ParcelQueue): Part {
  const { config, db, events, observe, progress, clock } = host;
  const wake = createWake();
  let waiting: NodeJS.Timeout | undefined;
  let told = true; // there is a reason to relay without a look
  const nudge = (): void => {
    told = true;
    wake.wake();
  };
  /** A head start for the workers' shortcut (src/worker/shortcut.ts): what it takes, the relay need not touch. */
  const heard = (): void => {
    waiting ??= setTimeout(() => {
      waiting = undefined;
      nudge();
    }, headStartMs);
  };
  const freshMs = 0.5 * Math.min(config.pollIntervalMs, sweepIntervalMs);
  const look = createLook(db, clock, { freshMs, suspectAfterMs });
  const relay = createRelay({ db, queue, events, observe, pollIntervalMs: config.pollIntervalMs });
  const sweep = createSweep({
    db,
    queue,
    events,
    observe,
    intervalMs: sweepIntervalMs,
    nudge,
    suspectAfterMs,
  });
  const probe = createProbe({ db, queue, events, observe, intervalMs: probeIntervalMs });
  const retention = {
    deliveredMs: config.deliveredRetentionMs,
    deadMs: config.deadRetentionMs,
    keyMs: config.keyRetentionMs,
  };
  const prune = createPrune({ db, events, observe, retention });

  async function relayWhenDue(): Promise<Milliseconds> {
    if (!told && !(await look()).due) return config.pollIntervalMs;
    told = false; // before the step: a nudge during it counts
    const delay = await relay();
    told ||= delay < config.pollIntervalMs;
    return delay;
  }

  return {
    name: 'relay',
    async run(signal) {
      const common = { signal, onError: events.loopFailed, observe, progress };
      const onError = (error: unknown): void => events.loopFailed('listen', error);
      await Promise.all([
        listen(db, [outboxChannel], heard, { signal, checkMs: 10_000, onError }),
        runLoop({ name: 'relay', step: relayWhenDue, wake, everyMs: config.pollIntervalMs }, common),
        runLoop(
          {
            name: 'sweep',
            step: async () => ((await look()).lapsed ? sweep() : sweepIntervalMs),
            everyMs: sweepIntervalMs,
          },
          common,
        ),
        runLoop(
          {
            name: 'probe',
            step: async () => ((await look()).probes ? probe() : probeIntervalMs),
            everyMs: probeIntervalMs,
          },
          common,
        ),
        runLoop({ name: 'prune', step: prune, everyMs: pruneIntervalMs }, common),
      ]);
      await queue.close();
    },
  };
}
