// Migrations: each file once, in order, under a lock, its checksum kept.

import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { migrate, migrationsProblem, standardSources, type MigrationSource } from '../../src/db/migrate.ts';
import { openDatabase } from '../../src/db/pool.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';

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
  test('the files of the engine have numbers of their own, in one row', () => {
    const [engine] = standardSources('nowhere/index.ts');
    const numbers = readdirSync(engine!.dir).map((name) => Number(/^(\d{4})_[a-z-]+\.sql$/.exec(name)?.[1]));
    expect(numbers.toSorted((a, b) => a - b)).toEqual(numbers.map((_, i) => i + 1));
  });

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

  test('a file that loses a deadlock against a process at work is applied all the same', async () => {
    const { db } = database;
    await db.executeSql('create table one (a int); create table two (a int)');
    file('0001_both.sql', 'lock one; lock two; alter table one add b int; alter table two add b int');
    const atWork = await db.connect();
    // A process that has waited for this long looks for a deadlock, and is the one to end. Here that is the migration.
    await atWork.query(`set deadlock_timeout = '1min'; begin; insert into two values (1)`);
    await db.executeSql(
      `do $$ begin execute format('alter database %I set deadlock_timeout = ''2s''', current_database()); end $$`,
    );
    const migrated = migrate(db, [source]);
    const waits = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    await until(async () => (await db.executeSql(waits)).rows.length > 0);
    await atWork.query('insert into one values (1); commit');
    await atWork.end();
    expect((await migrated).applied).toEqual(['test/0001_both.sql']);
    expect((await db.executeSql('select one.b, two.b from one, two')).rows).toHaveLength(1);
  });

  test('a file whose name does not say its order is refused', async () => {
    file('first.sql', 'create table one (a int)');
    await expect(migrate(database.db, [source])).rejects.toMatchObject({ code: 'migration_name' });
  });

  test('a file that fails is named with the line of its statement, whatever Postgres says of the place', async () => {
    file(
      '0001_first.sql',
      '-- one; two\ncreate table one (a text default $x$;$x$);\n/* a /* b; */ c */\n\ncreate table one (a int);\n',
    );
    const twice = migrate(database.db, [source]);
    await expect(twice).rejects.toMatchObject({
      code: 'migration_failed',
      message: expect.stringMatching(/0001_first\.sql, line 5: relation "one" already exists/) as string,
    });
    file(
      '0001_first.sql',
      "create table one (a int);\ninsert into one values ('größe');\nselect 1;\nselct 2;\n",
    );
    await expect(migrate(database.db, [source])).rejects.toThrow(
      /0001_first\.sql, line 4: syntax error at or near "selct"/,
    );
    file(
      '0001_first.sql',
      'create table one (a int);\ncreate table two (a int);\ncreate index concurrently on two (a);',
    );
    await expect(migrate(database.db, [source])).rejects.toThrow(
      /line 3: CREATE INDEX CONCURRENTLY cannot run inside/,
    );
    expect(await tables()).toEqual([]);
  });

  test('a file that would end its transaction is refused before anything is touched', async () => {
    file('0001_first.sql', 'create table one (a int)');
    for (const [sql, isRefused] of [
      ['create table two (a int);\ncommit;\ncreate table three (a int)', true],
      ['begin; create table two (a int); end;', true],
      ['ROLLBACK', true],
      ['savepoint a; rollback to a; create table two (a int)', false],
      [
        "create function f() returns int language plpgsql as $$ begin return 1; end $$; select ';commit;'",
        false,
      ],
    ] as const) {
      const name = isRefused ? '0009_refused.sql' : `000${1 + (await tables()).length}_taken.sql`;
      file(name, sql);
      const done = migrate(database.db, [source]);
      if (isRefused) await expect(done).rejects.toMatchObject({ code: 'migration_transaction' });
      else await done;
      rmSync(join(dir, '0009_refused.sql'), { force: true });
    }
    expect(await tables()).toEqual(['one', 'two']);
  });

  test('a failure in one of the engine’s files leaves none of them', async () => {
    await database.db.executeSql('create schema waybill');
    await migrate(database.db, [source]);
    await database.db.executeSql(`create type waybill.processes as (a int)`); // not a relation of kind table
    await expect(migrate(database.db, standardSources('app/index.ts'))).rejects.toMatchObject({
      code: 'migration_failed',
      message: expect.stringMatching(/sql\/0007_fleet\.sql, line 3: .*"processes"/) as string,
    });
    const { rows } = await database.db.executeSql(
      `select relname from pg_class where relnamespace = 'waybill'::regnamespace and relkind = 'r'`,
    );
    expect(rows).toEqual([]);
  });

  test("the engine's files come first, then those beside the application's module", async () => {
    mkdirSync(join(dir, 'sql'));
    file('sql/0001_shop.sql', 'create table shop (message uuid references waybill.outbox_messages (id))');
    const { applied } = await migrate(database.db, standardSources(join(dir, 'index.ts')));
    expect(applied[0]).toBe('waybill/0001_messages.sql');
    expect(applied.at(-1)).toBe('app/0001_shop.sql');
    expect(await tables()).toEqual(['shop']);
  });
});

describe('a schema that is not ours, or not as we left it', () => {
  const engine = (): ReturnType<typeof migrate> => migrate(database.db, standardSources('app/index.ts'));
  const sql = (text: string): Promise<unknown> => database.db.executeSql(text);
  const fingerprint = async (): Promise<unknown> =>
    (
      await database.db.executeSql(
        `select relname, relkind from pg_class where relnamespace = to_regnamespace('waybill') order by 1`,
      )
    ).rows;

  test.each([
    [
      'a table processes',
      'create schema waybill; create table waybill.processes (a int)',
      /processes and no table migrations/,
    ],
    [
      'a view',
      'create schema waybill; create view waybill.things as select 1',
      /things and no table migrations/,
    ],
    [
      'migrations with other columns',
      'create schema waybill; create table waybill.migrations (version int, name text)',
      /columns version, name/,
    ],
    [
      'migrations like ours that name nothing of ours',
      `create schema waybill; create table waybill.migrations (id text primary key, checksum text, applied_at timestamptz); create table waybill.orders (a int)`,
      /holds orders, and its table migrations names no file/,
    ],
  ])('somebody else’s schema with %s is refused, and stays as it was', async (_, made, words) => {
    await sql(made);
    const before = await fingerprint();
    const refused = { code: 'schema_not_ours', message: expect.stringMatching(words) as string };
    await expect(engine()).rejects.toMatchObject(refused);
    await expect(
      migrate(database.db, standardSources('app/index.ts'), { dryRun: true }),
    ).rejects.toMatchObject(refused);
    expect(await fingerprint()).toEqual(before);
  });

  test('an empty schema is taken', async () => {
    await sql('create schema waybill');
    expect((await engine()).applied).toContain('waybill/0001_messages.sql');
  });

  test('a deleted row of the migrations is named, and nothing is run again', async () => {
    await engine();
    await sql(`delete from waybill.migrations where id = 'waybill/0006_enqueue.sql'`);
    await expect(engine()).rejects.toMatchObject({
      code: 'migration_missing',
      message: expect.stringContaining('waybill/0006_enqueue.sql') as string,
    });
    await sql(`delete from waybill.migrations`);
    await expect(engine()).rejects.toMatchObject({ code: 'schema_not_ours' });
  });

  test('a schema of an earlier version is refused and stays as it was, until it is dropped as docs/errors.md says', async () => {
    await engine();
    await sql(`select waybill.enqueue('job', 'water', '{}')`);
    await sql(`update waybill.migrations set checksum = 'old' where id = 'waybill/0001_messages.sql'`);
    await expect(engine()).rejects.toMatchObject({ code: 'schema_older' }); // the same name with other text
    await sql(`delete from waybill.migrations where id like 'waybill/%'`);
    const names = ['waybill/0001_outbox.sql', 'waybill/0010_rules.sql', 'waybill/0049_times.sql'];
    for (const id of [...names, 'shop/0001_shop.sql'])
      await database.db.executeSql(`insert into waybill.migrations (id, checksum) values ($1, 'old')`, [id]);
    const noted = (): Promise<unknown> => sql('select id, checksum from waybill.migrations order by id');
    const before = [await fingerprint(), await noted()];
    const refused = {
      code: 'schema_older',
      message: expect.stringMatching(
        /earlier version.*\(waybill\/0001_outbox\.sql\).*Nothing was changed.*drop the schema waybill/,
      ) as string,
    };
    await expect(engine()).rejects.toMatchObject(refused);
    await expect(
      migrate(database.db, standardSources('app/index.ts'), { dryRun: true }),
    ).rejects.toMatchObject(refused);
    expect(await migrationsProblem(database.db)).toMatch(/earlier version \(waybill\/0001_outbox\.sql\)/);
    expect([await fingerprint(), await noted()]).toEqual(before);
    expect(await sql(`select name from waybill.outbox_messages`)).toMatchObject({
      rows: [{ name: 'water' }],
    });

    const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
    await sql(/```sql\n(begin;[^`]*)```/.exec(page)![1]!);
    const { applied } = await engine();
    expect(applied).toContain('waybill/0001_messages.sql');
    expect(applied).not.toContain('app/0001_orders.sql');
    expect(await sql(`select id from waybill.migrations where checksum = 'old'`)).toMatchObject({
      rows: [{ id: 'shop/0001_shop.sql' }],
    });
    expect(await migrationsProblem(database.db)).toBeUndefined();
  });

  test('an index that takes longer than a statement of ours may is made', async () => {
    const [name] = ['0001_slow.sql'];
    file(name!, 'select pg_sleep(1.5)');
    const hasty = openDatabase({
      url: database.url,
      max: 1,
      applicationName: 'hasty',
      statementTimeoutMs: 500,
      onIdleError: () => undefined,
    });
    expect((await migrate(hasty, [source])).applied).toEqual(['test/0001_slow.sql']);
    await hasty.end();
  });

  test('a database that is not in UTF8 is refused before anything is touched', async () => {
    const name = `latin_${randomBytes(4).toString('hex')}`;
    await sql(`create database ${name} encoding 'LATIN1' locale 'C' template template0`);
    const url = new URL(database.url);
    url.pathname = `/${name}`;
    const latin = openDatabase({
      url: url.href,
      max: 1,
      applicationName: 'latin',
      onIdleError: () => undefined,
    });
    await expect(migrate(latin, standardSources('app/index.ts'))).rejects.toMatchObject({
      code: 'encoding_unsupported',
      message: expect.stringMatching(/LATIN1.*UTF8.*create database/) as string,
    });
    expect((await latin.executeSql(`select to_regnamespace('waybill') as there`)).rows).toEqual([
      { there: null },
    ]);
    await latin.end();
    await sql(`drop database ${name}`);
  });

  test('a database that is closed for writing is named, and DATABASE_URL with it', async () => {
    await sql(
      `do $$ begin execute format('alter database %I set default_transaction_read_only = on', current_database()); end $$`,
    );
    const late = openDatabase({
      url: database.url,
      max: 1,
      applicationName: 'late',
      onIdleError: () => undefined,
    });
    await expect(migrate(late, standardSources('app/index.ts'))).rejects.toMatchObject({
      code: 'database_not_writable',
      message: expect.stringMatching(/DATABASE_URL is read-only/) as string,
    });
    await late.end();
  });
});
