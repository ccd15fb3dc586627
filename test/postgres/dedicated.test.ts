// A session of one's own, and what is asked there again and again (src/db/dedicated.ts).

import { isUnreachable } from '../../src/db/diagnosis.ts';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isFromDatabase } from '../../src/db/executor.ts';
import { openDedicated, type DedicatedConnection, type Texts } from '../../src/db/dedicated.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let client: pg.Client;
let session: DedicatedConnection;
beforeAll(async () => {
  database = await testDatabase();
});
beforeEach(async () => {
  client = await connected();
  session = await openDedicated(client);
  return () => client.end().catch(() => undefined);
});
afterAll(() => database.end());

async function connected(): Promise<pg.Client> {
  const one = new pg.Client({ connectionString: database.url });
  one.on('error', () => undefined);
  await one.connect();
  return one;
}

const ask = (text: string, values: readonly string[] = [], on = session): Promise<readonly Texts[]> =>
  new Promise((resolve, reject) =>
    on.ask(text, values, (error, rows) => (error ? reject(error) : resolve(rows))),
  );

const prepared = async (): Promise<number> =>
  (await client.query('select count(*)::int as n from pg_prepared_statements')).rows[0].n;

describe('a question', () => {
  it('is answered with the rows as texts, and is prepared once', async () => {
    const sql = `select n, n * $1::int, nullif(n, 2), '{"a": [1]}'::jsonb from generate_series(1, 2) n`;
    for (const factor of ['3', '4', '5'])
      expect(await ask(sql, [factor])).toEqual([
        ['1', factor, '1', '{"a": [1]}'],
        ['2', String(2 * Number(factor)), null, '{"a": [1]}'],
      ]);
    expect(await prepared()).toBe(1);
    expect(await ask('select where false')).toEqual([]);
  });

  it('is committed when it is told of', async () => {
    await client.query('create table if not exists told (n int)');
    const seen = await new Promise((resolve) => {
      const look = (): void => resolve(database.db.executeSql('select n from told'));
      session.ask('insert into told values ($1) returning n', ['1'], look);
    });
    expect(seen).toEqual({ rows: [{ n: 1 }] });
  });

  it('stands in line with what is asked otherwise', async () => {
    const all = [ask('select 1'), client.query('select 2 as n'), ask('select 3')];
    expect(await Promise.all(all)).toMatchObject([[['1']], { rows: [{ n: 2 }] }, [['3']]]);
  });

  it('that fails is told of as the database tells it, and the next one is answered', async () => {
    const sql = 'select 1 / $1::int';
    expect(await ask(sql, ['1'])).toEqual([['1']]);
    const error = await ask(sql, ['0']).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: '22012' });
    expect(isFromDatabase(error)).toBe(true);
    expect(await ask(sql, ['1'])).toEqual([['1']]);
    await expect(ask('select from nowhere')).rejects.toMatchObject({ code: '42P01' });
    expect(await ask(sql, ['1'])).toEqual([['1']]);
  });

  it('that is no longer prepared, or is outdated by a migration, fails once', async () => {
    await client.query('create temporary table shape as select 1 as a');
    const sql = 'select * from pg_temp.shape';
    expect(await ask(sql)).toEqual([['1']]);
    await client.query('deallocate all');
    await expect(ask(sql)).rejects.toMatchObject({ code: '26000' });
    expect(await ask(sql)).toEqual([['1']]);
    await client.query('alter table shape add column b int default 2');
    await expect(ask(sql)).rejects.toMatchObject({ code: '0A000' });
    for (let i = 0; i < 2; i++) expect(await ask(sql)).toEqual([['1', '2']]);
  });

  it('of a connection that is lost, or was, is told once', async () => {
    let told = 0;
    const count = (): void => void told++;
    const sleeping = new Promise((resolve) =>
      session.ask('select pg_sleep(60)', [], (error) => (count(), resolve(error))),
    );
    const pid = (client as unknown as { processID: number }).processID;
    await database.db.executeSql('select pg_terminate_backend($1)', [pid]);
    expect(await sleeping).toMatchObject({ code: '57P01' });
    await expect(ask('select 1')).rejects.toSatisfy(isUnreachable); // whether the socket had heard of its end or not
    expect(told).toBe(1);
  });
});

describe('a session that is to keep plans', () => {
  const settings = async (): Promise<unknown> =>
    (await client.query('show plan_cache_mode')).rows[0].plan_cache_mode;

  it('has the settings for it', async () => {
    expect(session.keepsPlans).toBe(true);
    expect(await settings()).toBe('force_generic_plan');
  });

  it('keeps none behind a pooler that shares sessions', async () => {
    const pooled = await connected();
    Object.assign(pooled, { processID: 1 }); // as a pooler would greet it
    expect((await openDedicated(pooled)).keepsPlans).toBe(false);
    expect((await pooled.query('show plan_cache_mode')).rows[0].plan_cache_mode).toBe('auto');
    await pooled.end();
  });
});
