// The step *notify*: beside the commit, one NOTIFY names the queues and priorities that got work. NOTIFYs are coalesced and sent outside
// the business transaction, because NOTIFY inside one serialises commits database-wide. If one is lost, polling finds the row.

import type { Executor } from '../db/executor.ts';
import type { Rider } from '../db/transaction.ts';

/** For relays and workers: messages wait at the places that the payload names. */
export const outboxChannel = 'waybill_outbox';
/** For workers: pg-boss holds wake-ups for the queue that the payload names. */
export const wakeUpChannel = 'waybill_wake_up';

/**
 * For workers: what a person did to what they run. `end ID`: the claim of this message was ended; `quiet` or `resume`: a process claims nothing more, or
 * goes on.
 */
export const workerChannel = 'waybill_worker';

/** Postgres accepts payloads of less than 8,000 bytes. */
const longest = 7_000;

/**
 * The NOTIFY payload: places as `queue:priority`, for messages with a group as `queue:priority+`, separated by spaces. A queue alone means all
 * its priorities. Empty means any queue, as in a
 * NOTIFY sent by hand. Queue names need no escape (src/message/message.ts). If a name breaks the rule or the text is too long, the payload is empty.
 */
export function payloadOf(places: Iterable<string>): string {
  const all = [...places];
  const text = all.join(' ');
  return all.every((place) => /^[A-Za-z0-9._-]+(:-?\d+\+?)?$/.test(place)) && text.length <= longest
    ? text
    : '';
}

/** The places that a payload names; undefined means any. */
export function placesIn(payload: string): readonly string[] | undefined {
  if (!payload.includes(' ')) return payload === '' ? undefined : [payload];
  const places = payload.split(' ').filter((place) => place !== '');
  return places.length > 0 ? places : undefined;
}

type Placed = { readonly queue: string; readonly priority?: number | undefined };
type Recorded = Placed & { readonly group?: string | null | undefined };

/** The place of a message, as in a payload. */
export function placeOf({ queue, priority = 0, group }: Recorded): string {
  return `${queue}:${priority}${typeof group === 'string' ? '+' : ''}`;
}

/** The same as an SQL expression over a row of messages. @param m the row's alias, with a dot */
export const placeSql = (m = ''): string =>
  `(${m}queue || ':' || ${m}priority || case when ${m}group_key is null then '' else '+' end)`;

/** Tells workers that a message may be due. Values: id. */
export const announceSql = `
  select pg_notify('${outboxChannel}', ${placeSql()}) from waybill.outbox_messages where id = $1`;

/** The queue of a place and its priority, if there is one. Anything but a number of up to four digits means any priority. */
export function fromPlace(place: string): Placed & { readonly isGrouped?: boolean } {
  const colon = place.indexOf(':');
  if (colon < 0) return { queue: place };
  const queue = place.slice(0, colon);
  const [, level, plus] = /^(-?\d{1,4})(\+?)$/.exec(place.slice(colon + 1)) ?? [];
  return level === undefined ? { queue } : { queue, priority: Number(level), isGrouped: plus === '+' };
}

export type Notify = {
  /** @param places places of the recorded messages; default: any */
  (places?: Iterable<string>): void;
  /**
   * The NOTIFY statement, to be sent in the message of a commit, which saves a round trip. Undefined while NOTIFYs are frequent: they are then
   * coalesced, because one for each commit would wake every worker too often.
   */
  withCommit?(places: Iterable<string>): string | undefined;
};

/** For this long after a NOTIFY, none is sent with a commit. */
const quietMs = 5;

/**
 * Returns a function to call after each commit that recorded messages. Calls during a NOTIFY are merged into one more.
 * @param onError called when a NOTIFY failed; no message is lost by that
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

/** The NOTIFY of one transaction: sent with its commit where possible, otherwise after it. */
export type CommitNotify = Rider<{ readonly recorded: ReadonlySet<string> }> & {
  /** Called after the commit. @param recorded the places of the recorded messages */
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
