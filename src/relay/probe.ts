// A parked queue is probed: one message of it at a time, over the whole fleet, is relayed although the queue is closed.

import type { Database } from '../db/pool.ts';
import type { Events } from '../metrics/events.ts';
import { areProbesDue, startProbes } from '../outbox/park.ts';
import type { Milliseconds, Observe } from '../ports.ts';
import type { ParcelQueue } from '../queue/boss.ts';
import { fitOf, fitting } from './fit.ts';
import { pack } from '../queue/pack.ts';

export type ProbeOptions = {
  readonly db: Database;
  readonly queue: ParcelQueue;
  readonly events: Pick<Events, 'unfit'>;
  readonly observe: Observe;
  readonly intervalMs: Milliseconds;
};

/** Before all that was relayed when the queue was parked; messages go up to 1000. */
const first = 10_000;

export function createProbe({
  db,
  queue,
  events,
  observe,
  intervalMs,
}: ProbeOptions): () => Promise<Milliseconds> {
  return fitting({ db, queue, events }, async function probeStep() {
    if (!(await areProbesDue(db))) return intervalMs;
    const probes = await db.transaction(async (tx) => {
      const started = await fitOf(tx, await startProbes(tx), events);
      const parcels = pack(started, { limit: 1, spread: 1 });
      if (started.length > 0)
        await queue.send(
          tx,
          parcels.map((parcel) => ({ ...parcel, priority: first })),
        );
      return started;
    });
    observe('probing', { queues: probes.map((probe) => probe.queue) });
    return intervalMs;
  });
}
