// The step *nudge*: after a commit, one NOTIFY says that there is work, and in which lanes. Coalesced, outside of the business transaction
// (NOTIFY inside of it serialises commits database-wide), and only a hint: polling finds the row anyway.

import type { Executor } from '../db/executor.ts';
import { hintOf } from './hint.ts';

/** To relays and workers: rows wait, in the lanes that the payload names (src/outbox/hint.ts). */
export const outboxChannel = 'waybill_outbox';
/** To the workers: wake-ups are in the queue that the payload names. */
export const wakeUpChannel = 'waybill_wake_up';

export type Nudge = {
  /** @param places in which something was recorded (src/outbox/hint.ts); without it, any */
  (places?: Iterable<string>): void;
  /**
   * The NOTIFY itself, for whoever sends it in the message of a commit and saves a round trip. Undefined when it is better sent with others:
   * in a process that nudges all the time, one for each commit would wake everybody too often.
   */
  riding?(places: Iterable<string>): string | undefined;
};

/** Nothing rides so soon after another nudge. */
const quietMs = 5;

/**
 * Gives a function to call after each commit that recorded something. Calls while a NOTIFY is under way become one more.
 * @param onError hears of a NOTIFY that failed; nothing is lost by it
 */
export function createNudge(db: Executor, onError: (error: unknown) => void): Nudge {
  let running = false;
  let named: Set<string> | undefined; // to be told
  let any = false;
  let quiet = true;
  const text = (hint: string): string => `notify ${outboxChannel}, '${hint}'`;
  function speak(): void {
    if (!quiet) return;
    quiet = false;
    setTimeout(() => (quiet = true), quietMs).unref();
  }
  async function send(): Promise<void> {
    running = true;
    while (named) {
      const hint = any ? '' : hintOf(named);
      [named, any] = [undefined, false];
      speak();
      await db.executeSql(text(hint)).catch(onError);
    }
    running = false;
  }
  function nudge(places?: Iterable<string>): void {
    named ??= new Set();
    if (places === undefined) any = true;
    else for (const place of places) named.add(place);
    if (!running) void send();
  }
  function riding(places: Iterable<string>): string | undefined {
    if (running || !quiet) return undefined;
    speak();
    return text(hintOf(places));
  }
  return Object.assign(nudge, { riding });
}
