// The step *notify*: beside the commit, one NOTIFY names the queues and priorities that got work. It is coalesced and outside of the business
// transaction, because NOTIFY inside of one serialises commits database-wide. It is a hint: polling finds the row anyway.

import type { Executor } from '../db/executor.ts';
import type { Rider } from '../db/transaction.ts';

/** To relays and workers: messages wait, where the payload says. */
export const outboxChannel = 'waybill_outbox';
/** To the workers: wake-ups are in the queue that the payload names. */
export const wakeUpChannel = 'waybill_wake_up';

/** Postgres takes less than 8,000 bytes. */
const longest = 7_000;

/**
 * The payload: places as `queue:priority`, parted by spaces. A queue alone is any of its priorities. Empty: any queue, which is also what a NOTIFY
 * means that somebody sends by hand. Names of queues need no escape (src/message/message.ts); any other name, put there by hand, is any queue.
 */
export function payloadOf(places: Iterable<string>): string {
  const all = [...places];
  const text = all.join(' ');
  return all.every((place) => /^[A-Za-z0-9._-]+(:-?\d+)?$/.test(place)) && text.length <= longest ? text : '';
}

/** The places that a payload names; undefined: any. */
export function placesIn(payload: string): readonly string[] | undefined {
  if (!payload.includes(' ')) return payload === '' ? undefined : [payload];
  const places = payload.split(' ').filter((place) => place !== '');
  return places.length > 0 ? places : undefined;
}

type Placed = { readonly queue: string; readonly priority?: number | undefined };

/** The place of a message, as a payload names it. */
export function placeOf({ queue, priority = 0 }: Placed): string {
  return `${queue}:${priority}`;
}

/** The queue that a payload names, and its priority, if it names one. A priority that no message can have means any. */
export function fromPlace(place: string): Placed {
  const colon = place.indexOf(':');
  if (colon < 0) return { queue: place };
  const [queue, level] = [place.slice(0, colon), place.slice(colon + 1)];
  return /^-?\d{1,4}$/.test(level) ? { queue, priority: Number(level) } : { queue };
}

export type Notify = {
  /** @param places in which messages were recorded; without it, any */
  (places?: Iterable<string>): void;
  /**
   * The NOTIFY itself, to be sent in the message of a commit, which saves a round trip. Undefined when it is better sent with others: in a process that
   * notifies all the time, one for each commit would wake every worker too often.
   */
  withCommit?(places: Iterable<string>): string | undefined;
};

/** No NOTIFY goes with a commit so soon after another one. */
const quietMs = 5;

/**
 * Gives a function to call after each commit that recorded something. Calls while a NOTIFY is under way become one more.
 * @param onError hears of a NOTIFY that failed; nothing is lost by it
 */
export function createNotify(db: Executor, onError: (error: unknown) => void): Notify {
  let running = false;
  let named: Set<string> | undefined; // to be sent
  let any = false;
  let quiet = true;
  const text = (payload: string): string => `notify ${outboxChannel}, '${payload}'`;
  function sending(): void {
    if (!quiet) return;
    quiet = false;
    setTimeout(() => (quiet = true), quietMs).unref();
  }
  async function send(): Promise<void> {
    running = true;
    while (named) {
      const payload = any ? '' : payloadOf(named);
      [named, any] = [undefined, false];
      sending();
      await db.executeSql(text(payload)).catch(onError);
    }
    running = false;
  }
  function notify(places?: Iterable<string>): void {
    named ??= new Set();
    if (places === undefined) any = true;
    else for (const place of places) named.add(place);
    if (!running) void send();
  }
  function withCommit(places: Iterable<string>): string | undefined {
    if (running || !quiet) return undefined;
    sending();
    return text(payloadOf(places));
  }
  return Object.assign(notify, { withCommit });
}

/** The NOTIFY of one transaction: with its commit where that is possible, else after it. */
export type CommitNotify = Rider<{ readonly recorded: ReadonlySet<string> }> & {
  /** After the commit. @param recorded the places in which messages were recorded */
  committed(recorded: ReadonlySet<string>): void;
};

export function createCommitNotify(notify: Notify): CommitNotify {
  let isSent = false;
  return {
    sql: ({ recorded }) => (recorded.size > 0 ? notify.withCommit?.(recorded) : undefined),
    sent: () => void (isSent = true),
    committed(recorded) {
      if (recorded.size > 0 && !isSent) notify(recorded);
    },
  };
}
