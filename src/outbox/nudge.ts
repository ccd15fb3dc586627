// The step *nudge*: after a commit, one NOTIFY says that there is work. Coalesced, outside of the business transaction
// (NOTIFY inside of it serialises commits database-wide), and only a hint: polling finds the row anyway.

import type { Executor } from '../db/executor.ts';

/** To the relays: rows wait. */
export const outboxChannel = 'waybill_outbox';
/** To the workers: a parcel is in the queue that the payload names. */
export const parcelChannel = 'waybill_parcel';

/**
 * Gives a function to call after each commit that recorded something. Calls while a NOTIFY is under way become one more.
 * @param onError hears of a NOTIFY that failed; nothing is lost by it
 */
export function createNudge(db: Executor, onError: (error: unknown) => void): () => void {
  let running = false;
  let again = false;
  async function send(): Promise<void> {
    running = true;
    do {
      again = false;
      await db.executeSql(`notify ${outboxChannel}`).catch(onError);
    } while (again);
    running = false;
  }
  return () => {
    again = true;
    if (!running) void send();
  };
}
