// The step *relay*: what is due and not claimed within a few milliseconds is announced by wake-ups in pg-boss. The relay touches no message: a
// wake-up that is lost is simply made again (invariants B and I). Any number of relays share the queues: who has the lock on a queue's row
// announces its work, and knows what others have announced.

import type { Database } from '../db/pool.ts';
import { beginning } from '../db/transaction.ts';
import type { Events } from '../metrics/events.ts';
import { countDue, type DueCount } from '../outbox/waiting.ts';
import { findOdd } from '../outbox/expire.ts';
import { isQueueName } from '../message/message.ts';
import { lockQueues } from '../queues/queues.ts';
import { endUnfitAt } from '../operate/unfit.ts';
import type { Milliseconds, Observe } from '../ports.ts';
import { tellWorkers, type WakeUpQueue } from '../queue/boss.ts';
import { wakeUpsFor, type WakeUp } from '../queue/wake-up.ts';
import { fitting } from './fit.ts';
import { mend } from './mend.ts';

export type RelayOptions = {
  readonly db: Database;
  readonly queue: WakeUpQueue;
  readonly events: Events;
  readonly observe: Observe;
  readonly pollIntervalMs: Milliseconds;
  /** Messages of one queue at one priority that wake-ups stand for at most: so pg-boss stays shallow, however long the backlog. */
  readonly highWater?: number;
};

/** Losing this commit repeats work and loses nothing, so it need not wait for the disk. */
const begin = `${beginning}; set local synchronous_commit = off`;
const firstPause: Milliseconds = 10;

/** Gives the relay's loop body. */
export function createRelay(options: RelayOptions): () => Promise<Milliseconds> {
  const { db, queue, events, observe, pollIntervalMs, highWater = 1_000 } = options;
  let pause = firstPause;

  return fitting({ db, queue, events }, async function relayStep() {
    const found = await countDue(db, highWater);
    const due = found.filter((place) => isQueueName(place.queue));
    // A queue that pg-boss would refuse was written by hand.
    for (const odd of found) if (!due.includes(odd)) events.unfit(await endUnfitAt(db, odd));
    const lacking = due.length === 0 ? [] : unannounced(due, await queue.announced());
    const sent = lacking.length === 0 ? [] : await announce(lacking);
    const standing = due.filter((place) => !lacking.includes(place));
    await stands(standing);
    for (const [name, its] of Map.groupBy(sent, (wakeUp) => wakeUp.queue))
      events.relayed(name, messagesIn(its), its.length);
    observe('relayed', { messages: messagesIn(sent) });
    if (found.length === 0) {
      pause = firstPause;
      return pollIntervalMs;
    }
    if (sent.length > 0) pause = firstPause;
    // Workers are at it, or there are none: look again at growing intervals.
    return (pause = Math.min(pollIntervalMs, pause * 2));
  });

  /** What was announced is still due: workers are at it, or did not hear of it, or cannot take it. */
  async function stands(places: readonly DueCount[]): Promise<void> {
    const names = new Set(places.map((place) => place.queue));
    if (names.size > 0) await tellWorkers(db, names);
    for (const name of names) events.stands(name);
    for (const place of places) await mend(db, await findOdd(db, place), events);
  }

  async function announce(places: readonly DueCount[]): Promise<readonly WakeUp[]> {
    return db.transaction(async (tx) => {
      const ours = await lockQueues(tx, [...new Set(places.map((place) => place.queue))]);
      if (ours.size === 0) return []; // another relay is at it
      const mine = places.filter((place) => ours.has(place.queue));
      const announced = await queue.announced(tx);
      const wakeUps = mine.flatMap((place) => wakeUpsFor(place, missing(place, announced)));
      if (wakeUps.length === 0) return [];
      await queue.send(tx, wakeUps);
      await tellWorkers(
        tx,
        wakeUps.map((wakeUp) => wakeUp.queue),
      );
      return wakeUps;
    }, begin);
  }
}

const messagesIn = (wakeUps: readonly WakeUp[]): number =>
  wakeUps.reduce((sum, { messages }) => sum + messages, 0);

const unannounced = (due: readonly DueCount[], announced: readonly WakeUp[]): DueCount[] =>
  due.filter((place) => missing(place, announced) > 0);

/** Not for every message that a worker takes: wake-ups would be small and many. */
function missing({ queue, priority, due }: DueCount, announced: readonly WakeUp[]): number {
  const there = announced.find((one) => one.queue === queue && one.priority === priority)?.messages ?? 0;
  return 2 * there > due ? 0 : due - there;
}
