// Finds connections that fell silent under a statement: a firewall forgot them, or the other machine is gone, and no error arrives. Their statements
// would wait for their whole time limit, a handler's for a minute. Postgres tells them from slow ones: the backend of a slow statement is active.

import type { Socket } from 'node:net';
import pg from 'pg';
import type { Milliseconds } from '../ports.ts';
import { after, type Timer } from '../timer.ts';

/** What this file needs of a client of pg. */
type Client = {
  /** False while a statement runs. */
  readonly readyForQuery: boolean;
  readonly processID: number | null;
  readonly connection: { readonly stream: Pick<Socket, 'bytesRead' | 'bytesWritten' | 'destroy'> };
};

type Seen = { readonly traffic: number; readonly at: Milliseconds };

/** A statement without any traffic for this time is looked into. */
const quietMs: Milliseconds = 2_000;
const everyMs: Milliseconds = 1_000;

/**
 * Backends that are idle although their client has waited for some time: they never got the statement, or their answer is lost. A pooler gives its
 * clients other process ids than Postgres, which match none. Values: process ids.
 */
const idleSql = `
  select pid from pg_catalog.pg_stat_activity
   where pid operator(pg_catalog.=) any ($1::pg_catalog.int4[])
     and application_name operator(pg_catalog.=) pg_catalog.current_setting('application_name')
     and state in ('idle', 'idle in transaction', 'idle in transaction (aborted)')
     and state_change operator(pg_catalog.<) (pg_catalog.clock_timestamp() operator(pg_catalog.-) interval '1 second')`;

/**
 * Watches the clients that are out of a pool, and ends those that fell silent: their statement fails as on a lost connection.
 * @param config of the pool; a new connection asks the server
 */
export function watchForSilence(pool: pg.Pool, config: pg.ClientConfig): void {
  const out = new Map<Client, Seen>();
  let timer: Timer | undefined;

  function look(): void {
    timer = undefined;
    const now = performance.now();
    const quiet: Client[] = [];
    for (const [client, seen] of out) {
      if (client.readyForQuery || trafficOf(client) !== seen.traffic) out.set(client, seenNow(client, now));
      else if (now - seen.at >= quietMs) quiet.push(client);
    }
    const asked = quiet.length === 0 ? Promise.resolve() : endSilent(quiet, config);
    // While the server cannot be asked, the statements' own time limits hold.
    void asked.catch(() => undefined).finally(again);
  }

  function again(): void {
    if (out.size > 0 && !pool.ending) timer ??= after(everyMs, look).unref();
  }

  const clientOf = (client: pg.PoolClient): Client => client as unknown as Client;
  pool.on('acquire', (client) => {
    out.set(clientOf(client), seenNow(clientOf(client), performance.now()));
    if (out.size === 1) again();
  });
  pool.on('release', (_, client) => void out.delete(clientOf(client)));
}

const trafficOf = ({ connection: { stream } }: Client): number => stream.bytesRead + stream.bytesWritten;

const seenNow = (client: Client, at: Milliseconds): Seen => ({ traffic: trafficOf(client), at });

async function endSilent(quiet: readonly Client[], config: pg.ClientConfig): Promise<void> {
  const before = quiet.map(trafficOf);
  const probe = new pg.Client({ ...config, connectionTimeoutMillis: quietMs, query_timeout: quietMs });
  probe.on('error', () => undefined); // its query fails too
  try {
    await probe.connect();
    const { rows } = await probe.query<{ pid: number }>(idleSql, [quiet.map(({ processID }) => processID)]);
    const idle = new Set(rows.map(({ pid }) => Number(pid)));
    for (const [i, client] of quiet.entries()) {
      const isStill = !client.readyForQuery && trafficOf(client) === before[i]; // nothing arrived while the server was asked
      if (isStill && idle.has(client.processID ?? 0)) client.connection.stream.destroy();
    }
  } finally {
    void probe.end().catch(() => undefined); // not awaited: it may fall silent too
  }
}
