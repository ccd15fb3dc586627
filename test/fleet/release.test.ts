// `waybill release` on databases that are new, shared with others, or not ours: real commands, their exit codes and what they say.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { waybill } from '../support/command.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let dir: string;
const root = fileURLToPath(new URL('../../', import.meta.url));

beforeEach(async () => {
  database = await testDatabase({ migrated: false });
  mkdirSync(join(root, '.waybill'), { recursive: true });
  dir = mkdtempSync(join(root, '.waybill', 'release-'));
  mkdirSync(join(dir, 'sql'));
  writeFileSync(
    join(dir, 'index.ts'),
    `import { defineApp } from '${root}src/index.ts';\nexport default defineApp({});\n`,
  );
});
afterEach(async () => {
  rmSync(dir, { recursive: true });
  await database.end();
});

const release = (url = database.url) =>
  waybill(['release'], { DATABASE_URL: url, WAYBILL_APP: join(dir, 'index.ts') });

describe('release', () => {
  it('several at once on a new database all end well, and one of them has done the work', async () => {
    writeFileSync(join(dir, 'sql', '0001_shop.sql'), 'create table shop (a int); select pg_sleep(0.3);');
    const all = await Promise.all([release(), release(), release(), release()]);
    expect(all.map(({ code, stderr }) => [code, stderr.replaceAll(/^another release .*\n/gm, '')])).toEqual(
      all.map(() => [0, '']),
    );
    const applied = all.flatMap(({ stdout }) =>
      [...stdout.matchAll(/^applied (.*)$/gm)].map(([, file]) => file),
    );
    expect(applied.length).toBe(new Set(applied).size);
    expect(applied).toContain('app/0001_shop.sql');
  });

  it('a migration that fails is exit code 1, with file, line and Postgres’s message; mended, it goes on from there', async () => {
    writeFileSync(
      join(dir, 'sql', '0001_shop.sql'),
      'create table shop (\n  a int\n);\ncreate tabel other (a int);\n',
    );
    const failed = await release();
    expect(failed.code).toBe(1);
    expect(failed.stderr).toMatch(
      /sql\/0001_shop\.sql, line 4: syntax error at or near "tabel".*\(migration_failed\)/,
    );
    expect(failed.stderr).not.toMatch(/cannot be reached|    at /);
    writeFileSync(join(dir, 'sql', '0001_shop.sql'), 'create table shop (a int);');
    expect(await release()).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('applied app/0001_shop.sql') as string,
    });
  });

  it.each([
    ['create schema waybill; create table waybill.processes (id int)', /processes.*schema_not_ours/],
    [
      'create schema waybill; create table waybill.migrations (version int)',
      /columns version.*schema_not_ours/,
    ],
  ])('a schema of somebody else’s (%s) is exit code 1, and stays', async (sql, words) => {
    await database.db.executeSql(sql);
    const refused = await release();
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(words)]);
    expect(refused.stderr).not.toMatch(/cannot be reached/);
  });

  it('a role that may create nothing is told which right it lacks', async () => {
    const { db } = database;
    const name = `poor_${Math.random().toString(36).slice(2)}`;
    await db.executeSql(`create role ${name} login password 'geheim'`);
    const url = new URL(database.url);
    [url.username, url.password] = [name, 'geheim'];
    const refused = await release(url.href);
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringMatching(/lacks a privilege: permission denied for database/),
    ]);
    await db.executeSql(`alter database ${url.pathname.slice(1)} connection limit 0`);
    const full = await release(url.href);
    expect([full.code, full.stderr]).toEqual([
      69,
      expect.stringMatching(/no connection left \(too many connections for database/),
    ]);
    expect(refused.stderr + full.stderr).not.toContain('geheim');
    await db.executeSql(`drop role ${name}`);
  });
});
