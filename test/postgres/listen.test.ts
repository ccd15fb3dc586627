import net from 'node:net';
import type pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { listen } from '../../src/db/listen.ts';
import { openDatabase } from '../../src/db/pool.ts';
import type { DedicatedConnection } from '../../src/db/dedicated.ts';
import { blackHole } from '../support/black-hole.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.end());

it('a connection that listens is held to the limits of the pool, and is given with what it hears, not with its beginning', async () => {
  const stop = new AbortController();
  const sessions: (DedicatedConnection | undefined)[] = [];
  const listening = listen(database.db, ['a_channel'], ({ session }) => sessions.push(session), {
    signal: stop.signal,
    checkMs: 10_000,
    onError: (error) => {
      throw error;
    },
  });
  try {
    await until(() => sessions.length === 1);
    expect(sessions[0]).toBeUndefined();
    await database.db.executeSql(`notify a_channel, 'x'`);
    await until(() => sessions.length === 2);
    const { rows } = await sessions[1]!.executeSql(
      `select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock`,
    );
    expect(rows).toEqual([{ statement: '10s', lock: '10s' }]);
  } finally {
    stop.abort();
    await listening;
  }
});

/** A wire to Postgres on which nothing comes through any more, as when the provider's host is gone. */
async function silentWire(target: string) {
  const { hostname, port } = new URL(target);
  const sockets: net.Socket[] = [];
  let isSilent = false;
  const server = net.createServer((near) => {
    const far = net.connect(Number(port), hostname);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.push(from);
      from.on('data', (data) => !isSilent && to.write(data));
      from.on('close', () => to.destroy()).on('error', () => undefined);
    }
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', () => listening()));
  const url = new URL(target);
  url.port = String((server.address() as net.AddressInfo).port);
  return {
    url: url.href,
    fallSilent: () => (isSilent = true),
    async end() {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => server.close(closed));
    },
  };
}

it('D: what was asked on a connection that falls silent fails when the silence is noticed', async () => {
  const wire = await silentWire(database.url);
  const db = openDatabase({ url: wire.url, max: 1, applicationName: 'silent', onIdleError: () => undefined });
  const stop = new AbortController();
  const sessions: (DedicatedConnection | undefined)[] = [];
  const errors: unknown[] = [];
  const listening = listen(db, ['a_channel'], ({ session }) => sessions.push(session), {
    signal: stop.signal,
    checkMs: 200,
    onError: (error) => void errors.push(error),
  });
  try {
    await until(() => sessions.length === 1);
    await database.db.executeSql(`notify a_channel, 'x'`);
    await until(() => sessions.length === 2);
    wire.fallSilent();
    const told: (Error | null)[] = [];
    sessions[1]!.ask('select 1', [], (error) => void told.push(error));
    await until(() => told.length > 0);
    expect(told).toEqual([expect.any(Error)]);
    await until(() => errors.length > 0);
  } finally {
    stop.abort();
    await wire.end();
    await listening;
    await db.end();
  }
});

it('leaves a server that became read-only without cutting the connection', async () => {
  const clients: pg.Client[] = [];
  const db = {
    ...database.db,
    async connect() {
      const client = await database.db.connect();
      clients.push(client);
      return client;
    },
  };
  const stop = new AbortController();
  const errors: unknown[] = [];
  let begun = 0;
  const listening = listen(db, ['a_channel'], () => begun++, {
    signal: stop.signal,
    checkMs: 200,
    onError: (error) => void errors.push(error),
  });
  try {
    await until(() => begun === 1);
    await clients[0]!.query('set default_transaction_read_only = on');
    await until(() => begun === 2);
    expect(clients).toHaveLength(2);
    expect(errors).toEqual([new Error('the server of the listening connection is read-only')]);
  } finally {
    stop.abort();
    await listening;
  }
});

/** Listens through a pooler that let us log in and whose server does not answer. */
async function listeningInVain(checkMs: number, onError: (error: unknown) => void) {
  const hole = await blackHole(database.url);
  const through = openDatabase({
    url: hole.url,
    max: 1,
    applicationName: 'vain',
    onIdleError: () => undefined,
  });
  const connected = Promise.withResolvers<void>();
  const stop = new AbortController();
  const db = {
    ...through,
    async connect() {
      hole.open();
      const client = await through.connect();
      hole.shut();
      connected.resolve();
      return client;
    },
  };
  const options = { signal: stop.signal, checkMs, onError };
  const listening = listen(db, ['a_channel'], () => undefined, options);
  return {
    connected: connected.promise,
    async end() {
      stop.abort();
      await listening;
      await hole.end();
      await through.end();
    },
  };
}

it('gives up a connection whose first statement gets no answer', async () => {
  const errors: unknown[] = [];
  const vain = await listeningInVain(200, (error) => errors.push(error));
  await until(() => errors.length > 0);
  expect(errors[0]).toMatchObject({ message: expect.stringMatching(/timeout/i) as string });
  await vain.end();
});

it('sees the signal while its first statement gets no answer', async () => {
  const errors: unknown[] = [];
  const vain = await listeningInVain(300_000, (error) => errors.push(error));
  await vain.connected;
  await vain.end();
  expect(errors).toEqual([]);
});
