// What an outbox may be made on, and what is said of the rest. Real: Postgres, postgres-js. Doubled: objects that are no executor.

import { sql as drizzleSql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/postgres-js';
import { Kysely, PostgresDialect } from 'kysely';
import knex from 'knex';
import pg from 'pg';
import { fromDrizzle } from 'pg-boss';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  createPostgresOutbox,
  defineJob,
  defineOutboxRegistry,
  drainOutbox,
  enqueueJob,
  type Executor,
} from '../../src/index.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.end());

describe('what is no executor is refused when an outbox is made on it', () => {
  const accepted =
    /a client or a pool of pg, or an object with executeSql\(text, values\) that gives \{ rows \}/;
  const bad: readonly (readonly [string, () => unknown, RegExp])[] = [
    ['nothing', () => undefined, /this is undefined/],
    ['null', () => null, /this is null/],
    ['a URL', () => 'postgres://user:SECRET@host/db', /this is a string/],
    ['a number', () => 5, /this is a number/],
    ['an empty object', () => ({}), /an object with neither/],
    ['executeSql that is no function', () => ({ executeSql: true }), /an object with neither/],
    ['a client of postgres-js', () => postgres('postgres://localhost/x'), /sql\.unsafe\(text, values\)/],
    ['a Drizzle database', () => drizzle({ client: postgres('postgres://localhost/x') }), /fromDrizzle/],
    ['a Kysely', () => new Kysely({ dialect: new PostgresDialect({ pool: new pg.Pool() }) }), /fromKysely/],
    ['a Knex', () => knex({ client: 'pg' }), /fromKnex/],
    ['a client of Prisma', () => ({ $queryRawUnsafe: () => undefined }), /fromPrisma/],
  ];
  it.each(bad)('%s', (_, make, told) => {
    const given = make();
    const made = (): unknown => createPostgresOutbox(given as Executor);
    expect(made).toThrow(
      expect.objectContaining({ name: 'ExecutorError', code: 'executor_invalid' }) as Error,
    );
    expect(made).toThrow(told);
    expect(made).toThrow(accepted);
    expect(made).not.toThrow(/SECRET/);
  });

  it.each([
    ['nothing', undefined],
    ['rows that are none', { rows: 5 }],
    ['another object', { data: [] }],
  ])('an executor that answers with %s', async (_, answer) => {
    const outbox = createPostgresOutbox({ executeSql: async () => answer as never });
    await expect(outbox.expire(1)).rejects.toMatchObject({
      code: 'executor_invalid',
      message: expect.stringContaining('executeSql must give { rows: […] }') as string,
    });
  });

  it('a pool of a drain that is none', async () => {
    const work = defineJob({
      name: 'asks',
      payload: z.object({}),
      handler: async (ctx) => void (await ctx.db.query('select 1')),
    });
    const outbox = createPostgresOutbox(database.db);
    await enqueueJob(outbox, work, {});
    const registry = defineOutboxRegistry({ jobs: [work] });
    const report = await drainOutbox({ outbox, registry, pool: { query: () => 1 } as never });
    expect(report.delivered).toBe(0);
    const { rows } = await database.db.executeSql(
      `select last_error from waybill.outbox_messages where name = 'asks'`,
    );
    expect(rows).toEqual([{ last_error: expect.stringContaining('a client or a pool of pg') as string }]);
  });
});

describe('postgres-js', () => {
  let sql: postgres.Sql;
  let drizzled: postgres.Sql;
  beforeAll(() => {
    sql = postgres(database.url, { max: 4, onnotice: () => undefined });
    drizzled = postgres(database.url, { max: 2, onnotice: () => undefined });
    return async () => void (await Promise.all([sql.end(), drizzled.end()]));
  });

  it('B: a failing job is settled and tried again, with dates, flags and arrays on the way', async () => {
    let runs = 0;
    const work = defineJob({
      name: 'flaky',
      payload: z.object({ text: z.string() }),
      retry: { maxAttempts: 3 },
      async handler() {
        runs += 1;
        if (runs < 3) throw new Error(`no: "quoted", {braces} and \\backslash`);
      },
    });
    const registry = defineOutboxRegistry({ jobs: [work] });
    for (const outbox of [
      createPostgresOutbox({ executeSql: sql.unsafe as never }),
      createPostgresOutbox(fromDrizzle(drizzle({ client: drizzled }), drizzleSql)),
    ]) {
      runs = 0;
      const availableAt = new Date(Date.now() - 1_000);
      const { id } = await enqueueJob(outbox, work, { text: `it's {"a"}` }, { availableAt });
      const options = { outbox, registry, retryDelayMs: () => 0 };
      for (let i = 0; i < 3; i++) await drainOutbox(options);
      const seen = `select status, attempts, available_at, last_error from waybill.outbox_messages where id = $1`;
      const [row] = (await database.db.executeSql(seen, [id])).rows;
      expect(row).toMatchObject({ status: 'delivered', attempts: 3 });
      expect(runs).toBe(3);
    }
  });
});
