// LISTEN that survives lost connections. It needs its own session, and is lost silently on a reconnect or behind a transaction pooler. So a
// notification is only a hint, and polling finds all work.

import type pg from 'pg';
import type { Database } from './pool.ts';
import { openDedicated, timed, type DedicatedConnection } from './dedicated.ts';
import { pause } from '../timer.ts';

export type Notification = {
  readonly channel: string;
  readonly payload: string;
  /** The connection that received it. Its server process is active, and using it needs no wait for a pool. Undefined after a (re)connect. */
  readonly session?: DedicatedConnection;
};

/**
 * Listens until the signal aborts, and again after a lost connection. A query each `checkMs` detects a dead connection: without an answer within 5 s
 * it is ended, and its pending queries fail. It detects a server that became read-only too. Resolves when the listening has ended.
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

/** It is on where the server replays a primary's writes, too. No NOTIFY comes there: its writers have gone to the new primary. */
const readOnlySql = `select pg_catalog.current_setting('transaction_read_only') as setting`;

async function listenOn(
  client: pg.Client,
  channels: readonly string[],
  heard: (notification: Notification) => void,
  { signal, checkMs }: { readonly signal: AbortSignal; readonly checkMs: number },
): Promise<void> {
  const over = Promise.withResolvers<never>();
  over.promise.catch(() => undefined); // awaited below, beside each step
  const stop = (): void => over.reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  client.on('error', over.reject);
  client.on('end', () => over.reject(new Error('the listening connection was closed')));
  const limitMs = Math.min(answerMs, checkMs);
  const ask = (text: string) => client.query<{ setting?: string }>(timed(text, limitMs));
  const unlessOver = <T>(step: Promise<T>): Promise<T> => Promise.race([step, over.promise]);
  try {
    if (signal.aborted) return;
    const session = await unlessOver(openDedicated(client, limitMs));
    client.on('notification', ({ channel, payload = '' }) => heard({ channel, payload, session }));
    for (const channel of channels) await unlessOver(ask(`listen ${channel}`));
    for (const channel of channels) heard({ channel, payload: '' });
    for (;;) {
      await unlessOver(pause(checkMs, signal));
      const { rows } = await unlessOver(ask(readOnlySql));
      if (rows[0]?.setting === 'on') throw new Error('the server of the listening connection is read-only');
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    await client.end();
  }
}
