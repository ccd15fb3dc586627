// The step *nudge*: after a commit, one NOTIFY says that there is work, and in which queues. Coalesced, outside of the business transaction
// (NOTIFY inside of it serialises commits database-wide), and only a hint: polling finds the row anyway.

import type { Executor } from '../db/executor.ts';

/** To relays and workers: rows wait. The payload names the queues, parted by spaces; without one it may be any queue. */
export const outboxChannel = 'waybill_outbox';
/** To the workers: a parcel is in the queue that the payload names. */
export const parcelChannel = 'waybill_parcel';

/** After a commit that recorded something. @param queues in which it waits, where the caller knows it */
export type Nudge = (queues?: Iterable<string>) => void;

/** Postgres takes less than 8,000 bytes. */
const longest = 7_000;

/**
 * Gives a function to call after each commit that recorded something. Calls while a NOTIFY is under way become one more.
 * @param onError hears of a NOTIFY that failed; nothing is lost by it
 */
export function createNudge(db: Executor, onError: (error: unknown) => void): Nudge {
  let running = false;
  let again = false;
  let any = false;
  const named = new Set<string>();

  /** Queues have names that need no escape (src/outbox/message.ts); what has another name is any queue. */
  function payload(): string {
    const names = [...named].join(' ');
    const isPlain = /^[A-Za-z0-9._ -]+$/.test(names) && names.length < longest;
    const text = any || !isPlain ? '' : `, '${names}'`;
    any = false;
    named.clear();
    return text;
  }

  async function send(): Promise<void> {
    running = true;
    while (again) {
      again = false;
      await db.executeSql(`notify ${outboxChannel}${payload()}`).catch(onError);
    }
    running = false;
  }

  return (queues) => {
    again = true;
    if (queues === undefined) any = true;
    else for (const queue of queues) named.add(queue);
    if (!running) void send();
  };
}

/** The queues that a notification names; undefined: any. */
export function queuesIn(payload: string): readonly string[] | undefined {
  const names = payload.split(' ').filter((name) => name !== '');
  return names.length > 0 ? names : undefined;
}
