import { afterAll, beforeAll, expect, it } from 'vitest';
import { listen } from '../../src/db/listen.ts';
import type { Executor } from '../../src/db/executor.ts';
import { sessionOn } from '../../src/db/session.ts';
import { claimNextSql } from '../../src/outbox/lane.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.end());

it('a session prepares what it is asked, once, and a text that is as long as the claim of the shortcut', async () => {
  const client = await database.db.connect();
  try {
    const session = sessionOn(client);
    for (let i = 0; i < 3; i++) {
      expect(await session.executeSql<{ x: number }>('select $1::int as x', [i])).toMatchObject({
        rows: [{ x: i }],
      });
      await session.executeSql(claimNextSql, [['nobody'], 1, 0, 1_000, 'w']);
    }
    const sql =
      'select statement, generic_plans + custom_plans as runs from pg_prepared_statements order by name';
    expect((await client.query(sql)).rows).toEqual([
      { statement: 'select $1::int as x', runs: '3' },
      { statement: claimNextSql, runs: '3' },
    ]);
  } finally {
    await client.end();
  }
});

it('what a migration has changed fails once on a session, and is prepared anew', async () => {
  const client = await database.db.connect();
  try {
    const session = sessionOn(client);
    const ask = async () => (await session.executeSql('select * from shape')).rows;
    await database.db.executeSql('create table shape as select 1 as a');
    expect(await ask()).toEqual([{ a: 1 }]);
    await database.db.executeSql('alter table shape add column b int default 2');
    await expect(ask()).rejects.toThrow('cached plan must not change result type');
    expect(await ask()).toEqual([{ a: 1, b: 2 }]);
  } finally {
    await client.end();
  }
});

it('a connection that listens is held to the limits of the pool, and is given with what it hears, not with its beginning', async () => {
  const stop = new AbortController();
  const sessions: (Executor | undefined)[] = [];
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
