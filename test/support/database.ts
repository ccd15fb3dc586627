// A database of its own for each test file: a clone of the migrated template.

import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';
import { openDatabase, type Database } from '../../src/db/pool.ts';
import { until } from './wait.ts';

export type TestDatabase = {
  readonly url: string;
  readonly db: Database;
  /** Runs statements that make many rows, on one connection and without the time limit that a fleet's statements have. */
  fill(...statements: readonly string[]): Promise<void>;
  /** Drops the database. Fails when a connection was left behind: whoever opened it did not close it. */
  end(): Promise<void>;
};

export type TestDatabaseOptions = {
  /** False: an empty database, without migrations. Default true. */
  readonly migrated?: boolean;
  /** Connections at most of `db`. Default 10. */
  readonly max?: number;
};

/** Call it in `beforeAll`, and `end()` in `afterAll`. */
export async function testDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const server = inject('postgresUrl');
  const name = `test_${randomBytes(6).toString('hex')}`;
  const template = (options.migrated ?? true) ? inject('templateName') : 'template0';
  // The lock: Postgres refuses to copy a template while another session copies it.
  await once(server, [`select pg_advisory_lock(7)`, `create database ${name} template ${template}`]);
  const url = new URL(server);
  url.pathname = `/${name}`;
  const db = openDatabase({
    url: url.href,
    max: options.max ?? 10,
    applicationName: 'waybill-test',
    onIdleError: (error) => console.error('idle connection of a test database:', error.message),
  });
  return {
    url: url.href,
    db,
    async fill(...statements) {
      const client = await db.connect();
      try {
        await client.query('set statement_timeout = 0');
        for (const sql of statements) await client.query(sql);
      } finally {
        await client.end();
      }
    },
    async end() {
      await db.end();
      const left = await leftBehind(server, name);
      await once(server, [`drop database ${name} with (force)`]);
      if (left.length > 0) throw new Error(`connections left behind on ${name}:\n${left.join('\n')}`);
    },
  };
}

// The server needs a moment to see a closed socket, so a connection counts only if it stays.
async function leftBehind(server: string, name: string): Promise<string[]> {
  const sessions = async (): Promise<string[]> => {
    const rows = await once(server, [
      `select format('%s (%s): %s', application_name, state, left(query, 100)) as line from pg_stat_activity where datname = '${name}' and backend_type = 'client backend'`,
    ]);
    return rows.map((row) => String(row['line']));
  };
  try {
    await until(async () => (await sessions()).length === 0, {
      timeoutMs: 3_000,
      what: 'closed connections',
    });
    return [];
  } catch {
    return sessions();
  }
}

async function once(url: string, statements: readonly string[]): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    let rows: Record<string, unknown>[] = [];
    for (const statement of statements) rows = (await client.query<Record<string, unknown>>(statement)).rows;
    return rows;
  } finally {
    await client.end();
  }
}
