// LISTEN that listens again. It needs a session of its own, and it is silently lost on a reconnect or behind a transaction pooler (FACTS 4):
// what it hears is a hint, polling is the floor.

import type pg from 'pg';
import type { Database } from './pool.ts';
import { openDedicated, type DedicatedConnection } from './dedicated.ts';
import { pause } from '../timer.ts';

export type Notification = {
  readonly channel: string;
  readonly payload: string;
  /** Where it was heard: its server process is awake, and nobody has to be asked for a connection. Undefined after a (re)connect. */
  readonly session?: DedicatedConnection;
};

/**
 * Listens until the signal aborts, and listens again after a lost connection. A query each `checkMs` notices a connection that died in silence:
 * it is ended when there is no answer within 5 s, and what was asked there fails. Resolves when the listening has ended.
 * @param heard also called with an empty payload after each (re)connect, because what was sent meanwhile is lost
 */
export async function listen(
  db: Database,
  channels: readonly string[],
  heard: (notification: Notification) => void,
  options: {
    readonly signal: AbortSignal;
    readonly checkMs: number;
    readonly onError: (error: unknown) => void;
  },
): Promise<void> {
  while (!options.signal.aborted) {
    try {
      const client = await db.connect();
      await listenOn(client, channels, heard, options);
    } catch (error) {
      options.onError(error);
    }
    if (!options.signal.aborted) await pause(1_000, options.signal);
  }
}

/** A connection without an answer for so long has died. What was asked there, a claim among it, waits no longer. */
const answerMs = 5_000;

async function listenOn(
  client: pg.Client,
  channels: readonly string[],
  heard: (notification: Notification) => void,
  options: { readonly signal: AbortSignal; readonly checkMs: number },
): Promise<void> {
  const lost = Promise.withResolvers<never>();
  lost.promise.catch(() => undefined); // awaited below, while the connection is checked
  client.on('error', lost.reject);
  client.on('end', () => lost.reject(new Error('the listening connection was closed')));
  const timed = (text: string) => ({ text, query_timeout: Math.min(answerMs, options.checkMs) });
  try {
    const session = await openDedicated(client);
    client.on('notification', ({ channel, payload = '' }) => heard({ channel, payload, session }));
    for (const channel of channels) await client.query(timed(`listen ${channel}`));
    for (const channel of channels) heard({ channel, payload: '' });
    while (!options.signal.aborted) {
      await Promise.race([pause(options.checkMs, options.signal), lost.promise]);
      if (!options.signal.aborted) await client.query(timed('select 1'));
    }
  } finally {
    await client.end();
  }
}
