// A search_path in which another schema comes before Postgres's own, with functions, operators and types that would change every answer. Real:
// Postgres. Doubled: nothing.

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { openDatabase } from '../../src/db/pool.ts';
import { qualified } from '../../src/db/qualified.ts';
import {
  createPostgresOutbox,
  defineJob,
  defineOutboxRegistry,
  drainOutbox,
  enqueueJob,
} from '../../src/index.ts';
import { outboxPortCases } from '../../src/testing.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { postgresHarness } from '../support/outbox-harness.ts';
import { statements } from '../support/statements.ts';

/** Grammar, not functions. */
const syntax =
  /^(?:any|all|array|as|bit|check|coalesce|conflict|exists|filter|from|greatest|in|insert|into|lateral|least|nullif|operator|over|row|select|union|unnest|update|values|when|where|with|and|or|not|on|case|then|else|materialized|g|n|r|t|k)$/;

/** Words before a parenthesis that are neither grammar nor qualified. */
function strangers(sql: string): string[] {
  const tokens = qualified(sql).replaceAll(/'(?:[^']|'')*'|--[^\n]*/g, "''");
  return [...tokens.matchAll(/(?<![.\w"])([a-z_]\w*)\s*\(/gi)]
    .map(([, word]) => word!.toLowerCase())
    .filter((word) => !syntax.test(word));
}

const types = ['uuid', 'text', 'timestamptz', 'int4', 'int8', 'float8', 'bool', 'jsonb', 'interval'];
const comparisons = ['=', '<>', '<', '>', '<=', '>='];

/** Whatever is called here fails. */
const evil = [
  'create schema evil',
  `create function evil.refuse() returns bool language plpgsql as $$ begin raise exception 'evil was asked'; end $$`,
  ...types.flatMap((type) => [
    `create function evil.compare(a pg_catalog.${type}, b pg_catalog.${type}) returns bool language plpgsql as $$ begin raise exception 'evil was asked'; end $$`,
    ...comparisons.map(
      (name) =>
        `create operator evil.${name} (leftarg = pg_catalog.${type}, rightarg = pg_catalog.${type}, function = evil.compare)`,
    ),
  ]),
  `create function evil.now() returns timestamptz language sql as $$ select timestamptz '1999-01-01' $$`,
  `create function evil.clock_timestamp() returns timestamptz language sql as $$ select timestamptz '1999-01-01' $$`,
  `create function evil.gen_random_uuid() returns uuid language sql as $$ select '00000000-0000-4000-8000-000000000000'::uuid $$`,
  `create function evil.unnest(uuid[]) returns setof uuid language sql as $$ select null::uuid where false $$`,
  `create function evil.date_part(text, interval) returns float8 language sql as $$ select -1::float8 $$`,
  `create function evil.date_part(text, timestamptz) returns float8 language sql as $$ select -1::float8 $$`,
  `create function evil.hashtextextended(text, bigint) returns bigint language plpgsql as $$ begin raise exception 'evil was asked'; end $$`,
  `create function evil.format(text, variadic text[]) returns text language sql as $$ select 'evil' $$`,
  `create domain evil.text as pg_catalog.text check (value is null)`,
  `create domain evil.uuid as pg_catalog.uuid check (value is null)`,
  `create domain evil.jsonb as pg_catalog.jsonb check (value is null)`,
  `create domain evil.timestamptz as pg_catalog.timestamptz check (value is null)`,
];

let database: TestDatabase;
/** As the application's own connections are. */
let theirs: pg.Pool;
beforeAll(async () => {
  database = await testDatabase();
  for (const sql of evil) await database.db.executeSql(sql);
  const name = new URL(database.url).pathname.slice(1);
  await database.db.executeSql(`alter database ${name} set search_path = evil, pg_catalog, public`);
  theirs = new pg.Pool({ connectionString: database.url, max: 4 });
});
afterAll(async () => {
  await theirs.end();
  await database.end();
});

it('stands in the way: what names nothing fully gets it', async () => {
  expect(
    await theirs.query('select now() < clock_timestamp() as early').catch((error: Error) => error.message),
  ).toContain('violates check constraint');
});

it('every function of ours names what it means, or sets its search_path', async () => {
  const client = await database.db.connect();
  const { rows } = await client.query<{ name: string }>(
    `select p.proname as name from pg_catalog.pg_proc p
      where p.pronamespace operator(pg_catalog.=) 'waybill'::pg_catalog.regnamespace and p.proname operator(pg_catalog.<>) 'outbox_record'
        and p.prosqlbody is null -- what has one was bound to Postgres's own names when it was made
        and not exists (select from pg_catalog.unnest(p.proconfig) c where pg_catalog.starts_with(c, 'search_path=pg_catalog'))`,
  );
  await client.end();
  expect(rows).toEqual([]);
});

describe('K: on connections of the application', () => {
  const looking = () =>
    openDatabase({
      url: database.url,
      max: 1,
      use: 'ours',
      applicationName: 'looking',
      onIdleError: () => undefined,
    });
  it.each(outboxPortCases.map((one) => [one.name, one] as const))('%s', async (_, one) => {
    const own = looking();
    onTestFinished(() => own.end());
    await one.run(
      postgresHarness(
        { executeSql: (text, values) => theirs.query(text, values as unknown[]) as never },
        own,
      ),
    );
  });

  it('a job with a time and a key is recorded, run and settled', async () => {
    const done: number[] = [];
    const work = defineJob({
      name: 'count',
      payload: z.object({ n: z.number() }),
      handler: async (ctx, { n }) => {
        done.push(n);
        await ctx.jobs.dispatch(after, { n });
      },
    });
    const after = defineJob({
      name: 'after',
      payload: z.object({ n: z.number() }),
      handler: async () => undefined,
    });
    const outbox = createPostgresOutbox(theirs);
    const availableAt = new Date(Date.now() - 1_000);
    await enqueueJob(outbox, work, { n: 1 }, { availableAt, deliveryKey: 'k' });
    expect(await enqueueJob(outbox, work, { n: 1 }, { deliveryKey: 'k' })).toMatchObject({ duplicate: true });
    const registry = defineOutboxRegistry({ jobs: [work, after] });
    const report = await drainOutbox({ outbox, registry, pool: theirs, untilEmpty: true });
    expect([report.delivered, done]).toEqual([2, [1]]);
  });

  it('waybill.enqueue records', async () => {
    const client = await theirs.connect();
    try {
      const sql = `select waybill.enqueue('job', 'sql', '{}', available_at => pg_catalog.now(), delivery_key => $1::pg_catalog.text)::pg_catalog.text as id`;
      const [first, second] = [await client.query(sql, ['k']), await client.query(sql, ['k'])];
      expect(second.rows).toEqual(first.rows);
    } finally {
      client.release();
    }
  });
});

describe('a qualified statement', () => {
  const onTheirs = [
    'record one',
    'record one with a key',
    'record',
    'holders',
    'due',
    'claim of some',
    'claim a suspect',
    'settle',
    'settle what is delivered',
    'settle what is delivered, of several claims',
    'settle what is delivered, with messages and notes',
    'extend',
    'expire leases',
    'lock key',
    'take key',
    'kept answer',
    'keep answer',
    'cron: find tick',
    'cron: succeed',
  ];
  it.each(onTheirs)('%s has the plan of the one that people read', async (name) => {
    const { sql, values } = statements[name]!;
    expect(strangers(sql)).toEqual([]);
    expect(sql).not.toMatch(
      /\bin\s*\(\s*'|is (?:not )?distinct|\bbetween\b|\bnullif\b|\bcase (?!when)|\blike\b/,
    );
    const own = openDatabase({
      url: database.url,
      max: 1,
      use: 'ours',
      applicationName: 'plans',
      onIdleError: () => undefined,
    });
    onTestFinished(() => own.end());
    const id = '00000000-0000-4000-8000-000000000000';
    const planOf = async (text: string) =>
      (await own.executeSql(`explain (verbose, costs off) ${text}`, values([id]))).rows;
    expect(await planOf(qualified(sql))).toEqual(await planOf(sql));
  });
});
