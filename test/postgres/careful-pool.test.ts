// Pools on a real Postgres that has few connections left (a limit of the role's), behind a wire that stops forwarding without a word, and on sessions
// that began while the database was read-only, as sessions with the old primary after a switchover.

import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createKin } from '../../src/db/careful-pool.ts';
import { diagnose } from '../../src/db/diagnosis.ts';
import { LazyTransaction } from '../../src/db/lazy.ts';
import { openDatabase, transactionsOf, type Database } from '../../src/db/pool.ts';
import { problemOf } from '../../src/http/problems.ts';
import { blackHole } from '../support/black-hole.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let limited: string;
beforeAll(async () => {
  database = await testDatabase();
  await database.db.executeSql(`create role few_${process.pid} login password 'few' connection limit 3`);
  const url = new URL(database.url);
  [url.username, url.password] = [`few_${process.pid}`, 'few'];
  limited = url.href;
});
afterAll(async () => {
  await database.db.executeSql(`drop role few_${process.pid}`);
  await database.end();
});

const open = (url: string, more: object = {}): Database =>
  openDatabase({ url, max: 8, applicationName: 'careful', onIdleError: () => undefined, ...more });

describe('K3: few connections', () => {
  it('a pool that is refused more shares out what it has: all thirty are answered', async () => {
    const patient = { connectMs: 20_000 }; // on a busy machine too
    const [one, two] = [open(limited, patient), open(limited, patient)];
    try {
      const asked = Array.from({ length: 30 }, (_, i) =>
        (i % 2 ? one : two).transaction(async (tx) => {
          await tx.executeSql('select pg_sleep(0.02)');
          return i;
        }),
      );
      expect(await Promise.all(asked)).toHaveLength(30);
    } finally {
      await Promise.all([one.end(), two.end()]);
    }
  });

  it('a pool that got none asks again until one is free', async () => {
    const holders = Array.from({ length: 3 }, () => new pg.Client({ connectionString: limited }));
    for (const holder of holders) await holder.connect();
    const db = open(limited, { connectMs: 20_000 });
    try {
      const asked = db.executeSql<{ n: number }>('select 1 as n');
      await holders[0]!.end();
      expect((await asked).rows).toEqual([{ n: 1 }]);
    } finally {
      await Promise.all([db.end(), holders[1]!.end(), holders[2]!.end()]);
    }
  });

  it('none in time is too many connections, with a code of its own for a caller, whoever has them', async () => {
    const db = open(database.url, { max: 1, connectMs: 200 });
    const busy = Promise.withResolvers<void>();
    const holding = db.transaction(async (tx) => {
      await tx.executeSql('select 1');
      await busy.promise;
    });
    try {
      const error: unknown = await db.executeSql('select 1').catch((thrown: unknown) => thrown);
      expect(diagnose(error)?.condition).toBe('connections_exhausted');
      expect(problemOf(error)).toMatchObject({
        status: 503,
        code: 'too_many_connections',
        headers: { 'retry-after': '1' },
      });
    } finally {
      busy.resolve();
      await holding;
      await db.end();
    }
  });
});

/** So many connections at a time. */
async function together(db: Database, count: number): Promise<void> {
  const all = Promise.withResolvers<void>();
  let there = 0;
  const one = (): Promise<void> =>
    db.transaction(async (tx) => {
      await tx.executeSql('select 1');
      if (++there === count) all.resolve();
      await all.promise;
    });
  await Promise.all(Array.from({ length: count }, one));
}

/** A statement would outlast the test. */
const endless = { statementTimeoutMs: 300_000 };

describe('G7: connections that died in silence', () => {
  it('a statement on one fails long before its time limit, and a slow statement goes on', async () => {
    const hole = await blackHole(database.url);
    const [straight, through] = [open(database.url, endless), open(hole.url, endless)];
    try {
      await together(through, 2);
      const slow = straight.executeSql(`select pg_sleep(5), 'slow' as answer`);
      hole.shut();
      const failed = through.executeSql('select 1').catch((error: Error) => error.message);
      await expect(slow).resolves.toMatchObject({ rows: [{ answer: 'slow' }] });
      hole.open();
      expect(await failed).toMatch(/terminated|timeout/i);
      await through.executeSql('select 1');
    } finally {
      await hole.end();
      await Promise.all([straight.end(), through.end()]);
    }
  });

  it('a transaction whose statement gets no answer sends nothing more on that connection, which is closed', async () => {
    const pool = new pg.Pool({ connectionString: database.url, query_timeout: 500 });
    const sent: string[] = [];
    pool.on('connect', (client) => {
      const query = client.query.bind(client) as (...given: unknown[]) => unknown;
      client.query = ((...given: unknown[]) => {
        sent.push(JSON.stringify(given[0]));
        return query(...given);
      }) as typeof client.query;
    });
    await database.db.executeSql('create table half (n int)');
    try {
      const work = transactionsOf(pool).transaction(async (tx) => {
        await tx.executeSql('insert into half values (1)');
        await tx.executeSql('select pg_sleep(60)');
      });
      await expect(work).rejects.toThrow(/read timeout/);
      expect(sent.at(-1)).toContain('pg_sleep');
      expect(pool.totalCount).toBe(0);
      expect((await database.db.executeSql('select from half')).rows).toEqual([]);
    } finally {
      await pool.end();
      // Postgres notices a closed connection when it sends its answer.
      await database.db.executeSql(
        `select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = current_database() and query = 'select pg_sleep(60)'`,
      );
    }
  });

  it('after one proves dead, the others that rest are dropped, in every pool of the process', async () => {
    const hole = await blackHole(database.url);
    const kin = createKin();
    const quick = { kin, statementTimeoutMs: 1_000 }; // pg's own timeout comes 2 s later
    const [one, two] = [open(hole.url, quick), open(hole.url, quick)];
    const ask = (db: Database): Promise<unknown> => db.executeSql('select 1');
    try {
      for (const db of [one, two]) await together(db, 5);
      hole.shut();
      hole.open();
      await expect(ask(one)).rejects.toThrow(/timeout|terminated/i);
      const began = performance.now();
      for (const db of [one, two]) for (let i = 0; i < 8; i++) await ask(db);
      expect(performance.now() - began).toBeLessThan(9 * 3_000); // nine dead ones, one after another
    } finally {
      await hole.end();
      await Promise.all([one.end(), two.end()]);
    }
  });
});

describe('a server that takes no writes', () => {
  const name = (): string => new URL(database.url).pathname.slice(1);
  const close = (): Promise<unknown> =>
    database.db.executeSql(`alter database ${name()} set default_transaction_read_only = on`);
  const reopen = (): Promise<unknown> =>
    database.db.executeSql(`alter database ${name()} reset default_transaction_read_only`);
  const write = `create temporary table written as select pg_backend_pid() as pid`;
  beforeEach(close);
  afterAll(reopen);

  it('is left although the transaction is rolled back with another error, as that of a handler', async () => {
    const db = open(database.url, { max: 1 });
    try {
      const lazy = new LazyTransaction(db);
      await expect(lazy.tx.client.query(write)).rejects.toThrow(/read-only transaction/);
      await lazy.rollback();
      await reopen();
      await db.executeSql(write);
    } finally {
      await db.end();
    }
  });

  it('is left by every pool of the process', async () => {
    const kin = createKin();
    const [one, two] = [open(database.url, { kin }), open(database.url, { kin })];
    try {
      await together(two, 3);
      await expect(one.executeSql(write)).rejects.toThrow(/read-only transaction/);
      await reopen();
      await two.executeSql(write);
    } finally {
      await Promise.all([one.end(), two.end()]);
    }
  });

  it('is left by who waits for a connection, too', async () => {
    const db = open(database.url, { max: 1, connectMs: 60_000 });
    try {
      const [began, busy] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const failing = db.transaction(async (tx) => {
        await tx.executeSql('select 1');
        began.resolve();
        await busy.promise;
        await tx.executeSql(write);
      });
      failing.catch(() => undefined);
      await began.promise;
      const waiting = db.transaction((tx) => tx.executeSql(write));
      await reopen();
      busy.resolve();
      await expect(failing).rejects.toThrow(/read-only transaction/);
      await waiting;
    } finally {
      await db.end();
    }
  });

  it('costs new connections once a second, however many statements it refuses', async () => {
    const db = open(database.url, { max: 2 });
    const sessions = new Set<unknown>();
    const began = performance.now();
    try {
      for (let i = 0; i < 50; i++)
        await db
          .transaction(async (tx) => {
            sessions.add((await tx.executeSql('select pg_backend_pid() as pid')).rows[0]!['pid']);
            await tx.executeSql(write);
          })
          .catch(() => undefined);
      expect(sessions.size).toBeGreaterThan(1);
      expect(sessions.size).toBeLessThanOrEqual(2 + Math.ceil((performance.now() - began) / 1_000));
    } finally {
      await db.end();
    }
  });

  it('is named to a caller; a read-only pool of the application is not', async () => {
    const db = open(database.url, { max: 1 });
    const own = new pg.Pool({ connectionString: database.url, max: 1 });
    const thrownBy = (work: Promise<unknown>): Promise<unknown> => work.catch((error: unknown) => error);
    try {
      const ours = thrownBy(db.transaction((tx) => tx.client.query(write)));
      expect(problemOf(await ours)).toMatchObject({ status: 503, code: 'database_read_only' });
      expect(problemOf(await thrownBy(own.query(write)))).toMatchObject({
        status: 500,
        code: 'internal_error',
      });
    } finally {
      await Promise.all([db.end(), own.end()]);
    }
  });
});
