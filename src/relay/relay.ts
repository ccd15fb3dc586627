// The step *relay*: wake-ups in pg-boss announce due messages that were not claimed within a few milliseconds. The relay touches no message, and
// makes a lost wake-up again (invariants B and I). Any number of relays share the queues: whichever locks a queue's row announces its work, after
// it has read what others announced.

import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import { beginning } from '../db/transaction.ts';
import type { Events } from '../metrics/events.ts';
import { countDue, type DueCount, type Place } from '../outbox/waiting.ts';
import { findOdd } from '../outbox/expire.ts';
import { isQueueName } from '../message/message.ts';
import { endUnfitAt } from '../operate/unfit.ts';
import type { Clock, Milliseconds, Observe } from '../ports.ts';
import { createLimitNotes } from '../queues/limited.ts';
import { tellWorkers, type WakeUpQueue } from '../queue/boss.ts';
import { wakeUpsFor, type WakeUp } from '../queue/wake-up.ts';
import { fitting } from './fit.ts';
import { mend } from './mend.ts';

export type RelayOptions = {
  readonly db: Database;
  readonly queue: WakeUpQueue;
  readonly events: Events;
  readonly observe: Observe;
  readonly clock: Clock;
  readonly pollIntervalMs: Milliseconds;
  /** Wake-ups stand for at most this many messages of a queue at a priority, so that pg-boss stays small however long the backlog is. */
  readonly highWater?: number;
};

/** Losing this commit only repeats work, so it need not wait for the disk. */
const begin = `${beginning}; set local synchronous_commit = off`;
const firstPause: Milliseconds = 10;

export function createRelay(options: RelayOptions): () => Promise<Milliseconds> {
  const { db, queue, events, observe, clock, pollIntervalMs, highWater = 1_000 } = options;
  let pause = firstPause;
  const note = createLimitNotes(db, clock);

  return fitting({ db, queue, events }, async function relayStep() {
    const found = await countDue(db, highWater);
    await note(found.map((place) => place.queue));
    const due = found.filter((place) => isQueueName(place.queue));
    // A queue name that pg-boss would refuse was written by hand.
    for (const odd of found) if (!due.includes(odd)) events.unfit(await endUnfitAt(db, odd));
    const lacking = due.length === 0 ? [] : unannounced(due, await queue.announced());
    const sent = lacking.length === 0 ? [] : await announce(lacking);
    await stands(due.filter((place) => !lacking.includes(place)));
    for (const [name, its] of Map.groupBy(sent, (wakeUp) => wakeUp.queue))
      events.relayed(name, messagesIn(its), its.length);
    observe('relayed', { messages: messagesIn(sent) });
    if (found.length === 0) {
      pause = firstPause;
      return pollIntervalMs;
    }
    if (sent.length > 0) pause = firstPause;
    // Workers are busy with it, or there are none: look again at growing intervals.
    return (pause = Math.min(pollIntervalMs, pause * 2));
  });

  /** Announced messages are still due: workers are busy, or got no notification, or cannot claim them. */
  async function stands(places: readonly DueCount[]): Promise<void> {
    const names = new Set(places.map((place) => place.queue));
    if (names.size > 0) await tellWorkers(db, names);
    for (const name of names) events.stands(name);
    for (const place of places) await mend(db, await findOdd(db, place), events);
  }

  async function announce(places: readonly DueCount[]): Promise<readonly WakeUp[]> {
    return db.transaction(async (tx) => {
      const ours = await lockQueues(tx, [...new Set(places.map((place) => place.queue))]);
      if (ours.size === 0) return []; // another relay announces them
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

/** Queues as an array. A queue has a row from here on. A row that was inserted is locked by that, and a row that another relay has locked is passed over. */
export const lockQueuesSql = `
  with made as (
    insert into waybill.queues (name) select unnest($1::text[]) on conflict (name) do nothing returning name)
  select name from made
  union all
  select name from (
    select name from waybill.queues where name = any($1::text[]) order by name for update skip locked) there`;

/** Locks queues until the transaction ends. @returns those that no other transaction has locked */
async function lockQueues(tx: Executor, names: readonly string[]): Promise<ReadonlySet<string>> {
  return new Set(
    (await tx.executeSql<{ name: string }>(lockQueuesSql, [names])).rows.map(({ name }) => name),
  );
}

const messagesIn = (wakeUps: readonly WakeUp[]): number =>
  wakeUps.reduce((sum, { messages }) => sum + messages, 0);

const unannounced = (due: readonly DueCount[], announced: readonly WakeUp[]): DueCount[] =>
  due.filter((place) => missing(place, announced) > 0);

const isSame = (a: Place, b: Place): boolean =>
  a.queue === b.queue && a.priority === b.priority && a.isGrouped === b.isGrouped;

/** 0 while wake-ups stand for more than half of the due messages: otherwise they would be small and many. */
function missing({ due, ...place }: DueCount, announced: readonly WakeUp[]): number {
  const there = announced.find((one) => isSame(one, place))?.messages ?? 0;
  return 2 * there > due ? 0 : due - there;
}
