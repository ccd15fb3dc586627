// The relay as a part of a process: relaying, sweeping and pruning, woken by the nudge.

import { listen } from '../db/listen.ts';
import { outboxChannel } from '../outbox/nudge.ts';
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

export function relayPart(host: Host, queue: ParcelQueue): Part {
  const { config, db, events, observe, progress } = host;
  const wake = createWake();
  const relay = createRelay({ db, queue, events, observe, pollIntervalMs: config.pollIntervalMs });
  const sweep = createSweep({ db, queue, events, observe, intervalMs: sweepIntervalMs, nudge: wake.wake });
  const probe = createProbe({ db, queue, observe, intervalMs: probeIntervalMs });
  const retention = {
    deliveredMs: config.deliveredRetentionMs,
    deadMs: config.deadRetentionMs,
    keyMs: config.keyRetentionMs,
  };
  const prune = createPrune({ db, events, observe, retention });

  return {
    name: 'relay',
    async run(signal) {
      const common = { signal, onError: events.loopFailed, observe, progress };
      const onError = (error: unknown): void => events.loopFailed('listen', error);
      await Promise.all([
        listen(db, [outboxChannel], wake.wake, { signal, checkMs: 10_000, onError }),
        runLoop({ name: 'relay', step: relay, wake }, common),
        runLoop({ name: 'sweep', step: sweep }, common),
        runLoop({ name: 'probe', step: probe }, common),
        runLoop({ name: 'prune', step: prune }, common),
      ]);
      await queue.close();
    },
  };
}
