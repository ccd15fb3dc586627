// Query builders with transactions of their own, each with the executor that puts the outbox into one of them.

import { sql as drizzleSql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { pgTable, text } from 'drizzle-orm/pg-core';
import knex from 'knex';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
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

function withPg(url: string): Builder {
  const pool = new pg.Pool({ connectionString: url, max: 4 });
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
  const db = new Kysely<{ notes: { note: string } }>({ dialect });
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
  pg: withPg,
  Drizzle: withDrizzle,
  Kysely: withKysely,
  Knex: withKnex,
};
