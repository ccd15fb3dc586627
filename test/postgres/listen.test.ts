import { afterAll, beforeAll, expect, it } from 'vitest';
import { listen } from '../../src/db/listen.ts';
import type { Executor } from '../../src/db/executor.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.end());

it('a connection that listens is held to the limits of the pool, and is given with what it hears, not with its beginning', async () => {
  const stop = new AbortController();
  const sessions: (Executor | undefined)[] = [];
  const listening = listen(database.db, ['a_channel'], ({ session }) => sessions.push(session), {
    signal: stop.signal,
    checkMs: 10_000,
    onError: (error) => {
      throw error;
    },
  });
  try {
    await until(() => sessions.length === 1);
    expect(sessions[0]).toBeUndefined();
    await database.db.executeSql(`notify a_channel, 'x'`);
    await until(() => sessions.length === 2);
    const { rows } = await sessions[1]!.executeSql(
      `select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock`,
    );
    expect(rows).toEqual([{ statement: '10s', lock: '10s' }]);
  } finally {
    stop.abort();
    await listening;
  }
});
