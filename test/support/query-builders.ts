// Query builders with transactions of their own, each with the executor that puts the outbox into one of them.

import { sql as drizzleSql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { pgTable, text } from 'drizzle-orm/pg-core';
import knex from 'knex';
import { drizzle as drizzleOnPostgresJs } from 'drizzle-orm/postgres-js';
import { CamelCasePlugin, Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import postgres from 'postgres';
import { fromDrizzle, fromKnex, fromKysely } from 'pg-boss';
import type { Executor, PgLike } from '../../src/index.ts';

/** One transaction: what the outbox is made on, and a business row in the builder's own words. */
export type Inside = { readonly source: Executor | PgLike; insert(note: string): Promise<unknown> };

export type Builder = {
  /** Runs `body` in a transaction of the builder, which commits or rolls back. */
  transaction<T>(body: (inside: Inside) => Promise<T>): Promise<T>;
  /** Outside of a transaction. */
  readonly plain: Executor | PgLike;
  end(): Promise<void>;
};

const withPg =
  (config: pg.PoolConfig) =>
  (url: string): Builder => {
    const pool = new pg.Pool({ connectionString: url, max: 4, ...config });
    return {
      plain: pool,
      async transaction(body) {
        const client = await pool.connect();
        try {
          await client.query('begin');
          const insert = (note: string) => client.query('insert into notes (note) values ($1)', [note]);
          const result = await body({ source: client, insert });
          await client.query('commit');
          return result;
        } catch (error) {
          await client.query('rollback');
          throw error;
        } finally {
          client.release();
        }
      },
      end: () => pool.end(),
    };
  };

/** Whatever comes back is spoilt, unless it was asked for as a text. */
const spoiling = { getTypeParser: (oid: number) => (text: string) => (oid === 25 ? text : { spoilt: text }) };

/** As an application's own adapter over pg may be: it answers with its own types, not with ours. */
function withSpoiltExecutor(url: string): Builder {
  const builder = withPg({ types: spoiling })(url);
  const wrapped = (source: Executor | PgLike): Executor => ({
    executeSql: async (text, values = []) =>
      (await (source as PgLike).query(text, values as unknown[])) as { rows: never[] },
  });
  return {
    ...builder,
    plain: wrapped(builder.plain),
    transaction: (body) =>
      builder.transaction((inside) => body({ ...inside, source: wrapped(inside.source) })),
  };
}

function withPostgresJs(url: string): Builder {
  const sql = postgres(url, { max: 4, onnotice: () => undefined, transform: postgres.camel });
  const executor = (client: postgres.Sql): Executor => ({
    executeSql: client.unsafe as unknown as Executor['executeSql'],
  });
  return {
    plain: executor(sql),
    transaction: (body) =>
      sql.begin((tx) =>
        body({
          source: executor(tx as unknown as postgres.Sql),
          insert: (note) => tx`insert into notes (note) values (${note})`,
        }),
      ) as Promise<never>,
    end: () => sql.end(),
  };
}

function withDrizzleOnPostgresJs(url: string): Builder {
  const notes = pgTable('notes', { note: text('note').notNull() });
  const client = postgres(url, { max: 4, onnotice: () => undefined });
  const db = drizzleOnPostgresJs({ client });
  return {
    plain: fromDrizzle(db, drizzleSql),
    transaction: (body) =>
      db.transaction((tx) =>
        body({
          source: fromDrizzle(tx, drizzleSql),
          insert: async (note) => tx.insert(notes).values({ note }),
        }),
      ),
    end: () => client.end(),
  };
}

function withDrizzle(url: string): Builder {
  const notes = pgTable('notes', { note: text('note').notNull() });
  const pool = new pg.Pool({ connectionString: url, max: 4 });
  const db = drizzle({ client: pool });
  return {
    plain: fromDrizzle(db, drizzleSql),
    transaction: (body) =>
      db.transaction((tx) =>
        body({
          source: fromDrizzle(tx, drizzleSql),
          insert: async (note) => tx.insert(notes).values({ note }),
        }),
      ),
    end: () => pool.end(),
  };
}

function withKysely(url: string): Builder {
  const dialect = new PostgresDialect({ pool: new pg.Pool({ connectionString: url, max: 4 }) });
  const db = new Kysely<{ notes: { note: string } }>({ dialect, plugins: [new CamelCasePlugin()] });
  return {
    plain: fromKysely(db),
    transaction: (body) =>
      db.transaction().execute((trx) =>
        body({
          source: fromKysely(trx),
          insert: (note) => trx.insertInto('notes').values({ note }).execute(),
        }),
      ),
    end: () => db.destroy(),
  };
}

function withKnex(url: string): Builder {
  const db = knex({ client: 'pg', connection: url, pool: { min: 0, max: 4 } });
  return {
    plain: fromKnex(db),
    transaction: (body) =>
      db.transaction((trx) =>
        body({ source: fromKnex(trx), insert: async (note) => trx('notes').insert({ note }) }),
      ),
    end: () => db.destroy(),
  };
}

export const builders: Readonly<Record<string, (url: string) => Builder>> = {
  pg: withPg({}),
  'pg in binary mode': withPg({ binary: true } as pg.PoolConfig),
  'pg with parsers of the application': withPg({ types: spoiling }),
  'an executor over pg with parsers of the application': withSpoiltExecutor,
  'postgres-js': withPostgresJs,
  'Drizzle on postgres-js': withDrizzleOnPostgresJs,
  Drizzle: withDrizzle,
  Kysely: withKysely,
  Knex: withKnex,
};
