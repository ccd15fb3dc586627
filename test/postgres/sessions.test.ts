// Sessions of ours on a database and a role whose settings are all odd. Real: Postgres. Doubled: nothing.

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase, type Database, type DatabaseOptions } from '../../src/db/pool.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { hasPgbouncer, startPgbouncer, type Pgbouncer } from '../support/pgbouncer.ts';

const odd = {
  datestyle: `'SQL, DMY'`,
  intervalstyle: `'sql_standard'`,
  timezone: `'Asia/Kathmandu'`,
  bytea_output: `'escape'`,
  extra_float_digits: '-15',
  standard_conforming_strings: 'off',
  array_nulls: 'off',
  default_transaction_isolation: `'serializable'`,
  default_transaction_deferrable: 'on',
  idle_session_timeout: '600000',
  statement_timeout: '1234',
  search_path: 'evil, pg_catalog',
};

let database: TestDatabase;
const opened: Database[] = [];
beforeAll(async () => {
  database = await testDatabase();
  const name = new URL(database.url).pathname.slice(1);
  await database.db.executeSql('create schema evil');
  await database.db.executeSql(
    `create function evil.now() returns timestamptz language sql as $$ select timestamptz '1999-01-01' $$`,
  );
  for (const [setting, value] of Object.entries(odd))
    await database.db.executeSql(`alter database ${name} set ${setting} = ${value}`);
});
afterAll(async () => {
  for (const db of opened) await db.end();
  await database.end();
});

function open(over: Partial<DatabaseOptions> = {}): Database {
  const onIdleError = (): void => undefined;
  const db = openDatabase({ url: database.url, max: 2, applicationName: 't', onIdleError, ...over });
  opened.push(db);
  return db;
}

const settingsSql = `select ${[...Object.keys(odd), 'jit', 'transaction_isolation', 'lock_timeout']
  .map((name) => `current_setting('${name}') as ${name}`)
  .join(', ')}`;
const ours = {
  datestyle: 'ISO, MDY',
  intervalstyle: 'postgres',
  timezone: 'UTC',
  bytea_output: 'hex',
  extra_float_digits: '1',
  standard_conforming_strings: 'on',
  array_nulls: 'on',
  default_transaction_isolation: 'read committed',
  transaction_isolation: 'read committed',
  default_transaction_deferrable: 'off',
  idle_session_timeout: '0',
  statement_timeout: '10s',
  lock_timeout: '10s',
  search_path: 'pg_catalog, pg_temp',
  jit: 'off',
};

describe('a connection of ours', () => {
  it('has the settings that it relies on, in a transaction and outside of one', async () => {
    const db = open({ use: 'ours' });
    expect((await db.executeSql(settingsSql)).rows).toEqual([ours]);
    expect((await db.transaction((tx) => tx.executeSql(settingsSql))).rows).toEqual([ours]);
    const alone = await db.connect();
    expect((await alone.query(settingsSql)).rows).toEqual([ours]);
    await alone.end();
  });

  it('reads times, numbers, bytes and arrays as they are', async () => {
    const sql = `select timestamptz '2026-03-29 02:30:00.123456+05:45' as at, 0.1::float8 + 0.2::float8 as f, 'a\\b'::text as t,
      '\\x00ff'::bytea as b, array['a,"b"', null, 'c\\d']::text[] as a, now() > timestamptz '2000-01-01' as now, 7::int8 as big`;
    expect((await open({ use: 'ours' }).executeSql(sql)).rows).toEqual([
      {
        at: new Date('2026-03-28T20:45:00.123Z'),
        f: 0.1 + 0.2,
        t: 'a\\b',
        b: Buffer.from([0, 255]),
        a: ['a,"b"', null, 'c\\d'],
        now: true,
        big: '7',
      },
    ]);
  });

  it('keeps what the URL has in its options, but for what it relies on', async () => {
    const url = `${database.url}?options=${encodeURIComponent('-c jit=on -c work_mem=77kB')}`;
    const sql = `select current_setting('jit') as jit, current_setting('work_mem') as mem`;
    expect((await open({ url, use: 'ours' }).executeSql(sql)).rows).toEqual([{ jit: 'off', mem: '77kB' }]);
    expect((await open({ url }).executeSql(sql)).rows).toEqual([{ jit: 'off', mem: '77kB' }]);
  });
});

describe("a connection for the application's statements", () => {
  it("has the database's settings, dates that pg can read, no compiled plans, and transactions that are read committed", async () => {
    const db = open();
    const expected = {
      search_path: 'evil, pg_catalog',
      timezone: 'Asia/Kathmandu',
      bytea_output: 'escape',
      datestyle: 'ISO, MDY',
      jit: 'off',
      statement_timeout: '10s',
    };
    expect((await db.executeSql(settingsSql)).rows).toMatchObject([
      { ...expected, transaction_isolation: 'serializable' },
    ]);
    expect((await db.transaction((tx) => tx.executeSql(settingsSql))).rows).toMatchObject([
      { ...expected, transaction_isolation: 'read committed' },
    ]);
  });

  it('K: a stricter level that a transaction asks for holds', async () => {
    const level = await open().transaction(async (tx) => {
      await tx.executeSql('set transaction isolation level serializable');
      return (await tx.executeSql('show transaction_isolation')).rows;
    });
    expect(level).toEqual([{ transaction_isolation: 'serializable' }]);
  });
});

describe.skipIf(!hasPgbouncer)('behind a pooler that shares sessions between transactions', () => {
  const settings = {
    'that refuses settings at connect': '',
    'that drops them': 'ignore_startup_parameters = options',
  };
  describe.each(Object.entries(settings))('%s', (_, line) => {
    let bouncer: Pgbouncer;
    beforeAll(async () => {
      bouncer = await startPgbouncer(database.url, line);
      return () => bouncer.end();
    });

    it('each transaction has the settings, and each statement by itself', async () => {
      const db = open({ url: bouncer.url, use: 'ours' });
      const idle_session_timeout = '10min'; // a matter of the pooler's own sessions
      const default_transaction_isolation = 'read committed';
      const expected = { ...ours, idle_session_timeout, default_transaction_isolation };
      expect((await db.executeSql(settingsSql)).rows).toEqual([expected]);
      expect((await db.transaction((tx) => tx.executeSql(settingsSql))).rows).toEqual([expected]);
      expect(
        (await db.executeSql(`select now() > '2000-01-01' as now, $1::timestamptz as at`, [new Date(0)]))
          .rows,
      ).toEqual([{ now: true, at: new Date(0) }]);
      const theirs = (await open({ url: bouncer.url }).transaction((tx) => tx.executeSql(settingsSql))).rows;
      expect(theirs).toMatchObject([
        { jit: 'off', search_path: 'evil, pg_catalog', statement_timeout: '10s' },
      ]);
    });
  });
});

describe("our own parsers, where the application has set pg's", () => {
  const oids = [16, 17, 20, 21, 23, 25, 700, 701, 1184, 114, 3802, 1009, 2950, 2951];
  const before = new Map(oids.map((oid) => [oid, pg.types.getTypeParser(oid)] as const));
  beforeAll(() => {
    for (const oid of oids) pg.types.setTypeParser(oid, (text: string) => ({ spoilt: text }));
  });
  afterAll(() => {
    for (const [oid, parser] of before) pg.types.setTypeParser(oid, parser);
  });

  it('A: a connection of ours answers as ever, a connection of the application as it was told to', async () => {
    const sql = `select true as flag, 1::int4 as n, 2::float8 as f, '{"a":[1]}'::jsonb as j, 'x'::text as t,
      timestamptz '2026-01-02 03:04:05+00' as at, array['a']::text[] as list`;
    const own = open({ use: 'ours' });
    const right = [
      { flag: true, n: 1, f: 2, j: { a: [1] }, t: 'x', at: new Date('2026-01-02T03:04:05Z'), list: ['a'] },
    ];
    expect((await own.executeSql(sql)).rows).toEqual(right);
    expect((await own.transaction((tx) => tx.executeSql(sql))).rows).toEqual(right);
    const theirs = await open().transaction(async (tx) => (await tx.client.query(sql)).rows);
    expect(theirs[0]).toMatchObject({ n: { spoilt: '1' }, t: { spoilt: 'x' } });
    const oursThere = await open().transaction(async (tx) => (await tx.executeSql(sql)).rows);
    expect(oursThere).toEqual(right);
  });
});
