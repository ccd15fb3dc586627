// Migrations: each file once, in order, under a lock, its checksum kept.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { migrate, standardSources, type MigrationSource } from '../../src/db/migrate.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let dir: string;
let source: MigrationSource;

beforeEach(async () => {
  database = await testDatabase({ migrated: false });
  dir = mkdtempSync(join(tmpdir(), 'waybill-migrate-'));
  source = { name: 'test', dir };
});

afterEach(async () => {
  rmSync(dir, { recursive: true });
  await database.end();
});

const file = (name: string, sql: string): void => writeFileSync(join(dir, name), sql);

async function tables(): Promise<string[]> {
  const { rows } = await database.db.executeSql<{ name: string }>(
    `select table_name as name from information_schema.tables where table_schema = 'public' order by 1`,
  );
  return rows.map((row) => row.name);
}

describe('migrate', () => {
  test('applies each file once, in order', async () => {
    file('0002_second.sql', 'alter table one add b int');
    file('0001_first.sql', 'create table one (a int)');
    expect(await migrate(database.db, [source])).toEqual({
      applied: ['test/0001_first.sql', 'test/0002_second.sql'],
      pending: [],
    });
    expect(await migrate(database.db, [source])).toEqual({ applied: [], pending: [] });
    file('0003_third.sql', 'create table three (a int)');
    expect(await migrate(database.db, [source])).toEqual({ applied: ['test/0003_third.sql'], pending: [] });
    expect(await tables()).toEqual(['one', 'three']);
  });

  test('a dry run says what is pending and touches nothing', async () => {
    file('0001_first.sql', 'create table one (a int)');
    expect(await migrate(database.db, [source], { dryRun: true })).toEqual({
      applied: [],
      pending: ['test/0001_first.sql'],
    });
    expect(await tables()).toEqual([]);
    const { rows } = await database.db.executeSql(`select to_regnamespace('waybill') as schema`);
    expect(rows).toEqual([{ schema: null }]);
  });

  test('two at once do not collide: each file is applied by one of them', async () => {
    file('0001_first.sql', 'create table one (a int); select pg_sleep(0.05)');
    file('0002_second.sql', 'create table two (a int); select pg_sleep(0.05)');
    const reports = await Promise.all([1, 2, 3].map(() => migrate(database.db, [source])));
    expect(reports.flatMap((report) => report.applied).toSorted()).toEqual([
      'test/0001_first.sql',
      'test/0002_second.sql',
    ]);
    expect(await tables()).toEqual(['one', 'two']);
  });

  test('an applied file that was changed is refused by name, and nothing after it is applied', async () => {
    file('0001_first.sql', 'create table one (a int)');
    await migrate(database.db, [source]);
    file('0001_first.sql', 'create table one (a bigint)');
    file('0002_second.sql', 'create table two (a int)');
    const refused = {
      code: 'migration_changed',
      message: expect.stringContaining('test/0001_first.sql') as string,
    };
    await expect(migrate(database.db, [source])).rejects.toMatchObject(refused);
    await expect(migrate(database.db, [source], { dryRun: true })).rejects.toMatchObject(refused);
    expect(await tables()).toEqual(['one']);
  });

  test('line ends of Windows do not change a checksum', async () => {
    file('0001_first.sql', 'create table one (\n a int)');
    await migrate(database.db, [source]);
    file('0001_first.sql', 'create table one (\r\n a int)');
    expect(await migrate(database.db, [source])).toEqual({ applied: [], pending: [] });
  });

  test('a database that a newer version was released on is refused, with the files named', async () => {
    file('0001_first.sql', 'create table one (a int)');
    file('0002_newer.sql', 'create table two (a int)');
    await migrate(database.db, [source]);
    rmSync(join(dir, '0002_newer.sql'));
    await expect(migrate(database.db, [source])).rejects.toMatchObject({
      code: 'schema_newer',
      message: expect.stringContaining('test/0002_newer.sql') as string,
    });
  });

  test('a file that fails leaves nothing of itself, and what was applied before it stands', async () => {
    file('0001_first.sql', 'create table one (a int)');
    file('0002_broken.sql', 'create table two (a int); select no_such_function()');
    await expect(migrate(database.db, [source])).rejects.toMatchObject({
      code: 'migration_failed',
      message: expect.stringMatching(/0002_broken.*no_such_function/) as string,
    });
    expect(await tables()).toEqual(['one']);
    file('0002_broken.sql', 'create table two (a int)');
    expect((await migrate(database.db, [source])).applied).toEqual(['test/0002_broken.sql']);
  });

  test('a file whose name does not say its order is refused', async () => {
    file('first.sql', 'create table one (a int)');
    await expect(migrate(database.db, [source])).rejects.toMatchObject({ code: 'migration_name' });
  });

  test("the engine's files come first, then those beside the application's module", async () => {
    mkdirSync(join(dir, 'sql'));
    file('sql/0001_shop.sql', 'create table shop (message uuid references waybill.outbox_messages (id))');
    const { applied } = await migrate(database.db, standardSources(join(dir, 'index.ts')));
    expect(applied[0]).toBe('waybill/0001_outbox.sql');
    expect(applied.at(-1)).toBe('app/0001_shop.sql');
    expect(await tables()).toEqual(['shop']);
  });
});
