// LISTEN that survives lost connections. It needs its own session, and is lost silently on a reconnect or behind a transaction pooler. So a
// notification is only a hint, and polling finds all work.

import type pg from 'pg';
import type { Database } from './pool.ts';
import { openDedicated, type DedicatedConnection } from './dedicated.ts';
import { pause } from '../timer.ts';

export type Notification = {
  readonly channel: string;
  readonly payload: string;
  /** The connection that received it. Its server process is active, and using it needs no wait for a pool. Undefined after a (re)connect. */
  readonly session?: DedicatedConnection;
};

/**
 * Listens until the signal aborts, and again after a lost connection. A query each `checkMs` detects a dead connection: without an answer within 5 s
 * it is ended, and its pending queries fail. Resolves when the listening has ended.
 * @param heard also called with an empty payload after each (re)connect, because notifications sent meanwhile are lost
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

/** A connection that does not answer within this time is dead. Its pending queries, such as a claim, then fail. */
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
