// The step *relay*: due rows → parcels → queue, in the transaction that stamps them (invariants A, B, F, I).
// Any number of relays share the work by SKIP LOCKED. The queues are kept shallow: what exceeds a queue's high-water mark waits in the outbox.

import type { Database } from '../db/pool.ts';
import { beginning } from '../db/transaction.ts';
import type { Events } from '../metrics/events.ts';
import { takeDue, type DueMessage } from '../outbox/due.ts';
import type { Milliseconds, Observe } from '../ports.ts';
import type { ParcelQueue } from '../queue/boss.ts';
import { pack } from '../queue/pack.ts';
import { createBulk } from './bulk.ts';
import { fitOf, fitting } from './fit.ts';
import { traceSent } from '../trace/message.ts';

export type RelayOptions = {
  readonly db: Database;
  readonly queue: ParcelQueue;
  readonly events: Events;
  readonly observe: Observe;
  readonly pollIntervalMs: Milliseconds;
  /** Messages that wait in one pg-boss queue at most. */
  readonly highWater?: number;
  /** Messages of one queue in one transaction at most. */
  readonly batch?: number;
};

const parcels = { limit: 250, spread: 16 };

/** Losing a relay's commit repeats work and loses nothing, so it need not wait for the disk. */
const begin = `${beginning}; set local synchronous_commit = off`;

/** Gives the relay's loop body: one batch, then the delay until the next. */
export function createRelay(options: RelayOptions): () => Promise<Milliseconds> {
  const { db, queue, events, observe, pollIntervalMs, highWater = 5_000, batch = 500 } = options;
  const bulk = createBulk({ db, queue, events, parcels, highWater, named: batch });
  let room = new Map<string, number>();
  let movedSince = highWater; // messages since the last measurement; nothing is known yet
  let patience = 10;

  /** Workers only make room and other relays only take it, so what was measured holds for a while; a trickle asks nothing. */
  async function measureRoom(): Promise<void> {
    const full = [...room.values()].some((messages) => messages <= 0);
    if (!full && movedSince < highWater / 4) return;
    const depth = await queue.depth();
    room = new Map([...depth].map(([name, messages]) => [name, Math.max(0, highWater - messages)]));
    movedSince = 0;
  }

  async function move(): Promise<readonly DueMessage[]> {
    return db.transaction(async (tx) => {
      const due = await fitOf(tx, await takeDue(tx, room, Math.min(batch, highWater), bulk.lanes()), events);
      if (due.length > 0) await queue.send(tx, pack(due, parcels));
      return due;
    }, begin);
  }

  /** A full queue empties soon, or its workers are gone: look again at growing intervals. */
  function delayAfter(moved: number, opened: number): Milliseconds {
    if (moved + opened > 0) patience = 10;
    if (moved > 0) return 0;
    const full = [...room.values()].some((messages) => messages <= 0);
    if (!full && bulk.lanes().length === 0) return pollIntervalMs;
    patience = Math.min(pollIntervalMs, patience * 2);
    return patience;
  }

  return fitting({ db, queue, events }, async function relayStep() {
    await measureRoom();
    const opened = await bulk.open();
    const due = await move();
    traceSent(due);
    for (const [name, its] of Map.groupBy(due, (message) => message.queue)) {
      movedSince += its.length;
      room.set(name, (room.get(name) ?? highWater) - its.length);
      const lags = its.map((message) => message.lag);
      events.relayed(name, its.length, pack(its, parcels).length, lags);
    }
    bulk.moved(due.length);
    observe('relayed', { messages: due.length + opened });
    return delayAfter(due.length, opened);
  });
}
