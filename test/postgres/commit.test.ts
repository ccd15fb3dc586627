import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TransactionRolledBack } from '../../src/db/transaction.ts';
import { listen } from '../../src/db/listen.ts';
import { createNotify, outboxChannel } from '../../src/outbox/notify.ts';
import { createCommitNotify, type CommitNotify } from '../../src/outbox/notify.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';

let database: TestDatabase;
const heard: string[] = [];
const stop = new AbortController();
let listening: Promise<void>;

beforeAll(async () => {
  database = await testDatabase();
  await database.db.executeSql('create table kept (n int)');
  await database.db.executeSql(
    'create table checked (n int unique deferrable initially deferred, check (n < 10))',
  );
  let begun = false;
  listening = listen(
    database.db,
    [outboxChannel],
    ({ payload, session }) => (session ? heard.push(payload) : (begun = true)),
    {
      signal: stop.signal,
      checkMs: 10_000,
      onError: (error) => {
        throw error;
      },
    },
  );
  await until(() => begun);
});
afterAll(async () => {
  stop.abort();
  await listening;
  await database.end();
});

const notify = () =>
  createNotify(database.db, (error) => {
    throw error;
  });
const count = async (table: string) =>
  (await database.db.executeSql<{ n: number }>(`select count(*)::int as n from ${table}`)).rows[0]!.n;

/** Records in the queue, as an action does. */
async function act(commitNotify: CommitNotify, sql: string, queue: string): Promise<void> {
  const body = async (tx: { executeSql(text: string): Promise<unknown> }) => {
    await tx.executeSql(sql);
    return { recorded: new Set([queue]) };
  };
  const { recorded } = await database.db.transaction(body, undefined, commitNotify);
  commitNotify.committed(recorded);
}

describe('a notify that rides with the commit', () => {
  it('is heard when what was committed can be seen, and is not sent again', async () => {
    const statements: string[] = [];
    const db = { executeSql: async (text: string) => (statements.push(text), database.db.executeSql(text)) };
    const commitNotify = createCommitNotify(createNotify(db as typeof database.db, () => undefined));
    await act(commitNotify, 'insert into kept values (1)', 'riding');
    expect(statements).toEqual([]);
    await until(() => heard.includes('riding'));
    expect(await count('kept')).toBe(1);
  });

  it('A: one that fails fails alone: what was committed is committed, and it is sent the usual way', async () => {
    const asked: string[][] = [];
    const failing = Object.assign((queues?: Iterable<string>) => void asked.push([...(queues ?? [])]), {
      riding: () => `select 1 / 0`,
    });
    const before = await count('kept');
    await act(createCommitNotify(failing), 'insert into kept values (2)', 'failing');
    expect(await count('kept')).toBe(before + 1);
    expect(asked).toEqual([['failing']]);
  });

  it('A: a commit that fails is a failure, and nothing is told', async () => {
    await database.db.executeSql('insert into checked values (1)');
    const before = heard.length;
    await expect(
      act(createCommitNotify(notify()), 'insert into checked values (1)', 'never'),
    ).rejects.toThrow('duplicate key');
    expect(await count('checked')).toBe(1);
    await act(createCommitNotify(notify()), 'insert into kept values (3)', 'then');
    await until(() => heard.includes('then'));
    expect(heard.slice(before)).toEqual(['then']);
  });

  it('A: a transaction that had failed is told of, though Postgres answers its commit without an error', async () => {
    const body = async (tx: { executeSql(text: string): Promise<unknown> }) => {
      await tx.executeSql('insert into kept values (4)');
      await tx.executeSql('select 1 / 0').catch(() => undefined);
      return { recorded: new Set(['failed']) };
    };
    const before = await count('kept');
    await expect(database.db.transaction(body, undefined, createCommitNotify(notify()))).rejects.toThrow(
      TransactionRolledBack,
    );
    expect(await count('kept')).toBe(before);
  });

  it('A: a session that ends right after the commit leaves it committed', async () => {
    const ending = Object.assign(() => undefined, {
      riding: () => 'select pg_terminate_backend(pg_backend_pid())',
    });
    const before = await count('kept');
    await act(createCommitNotify(ending), 'insert into kept values (5)', 'ending');
    await until(async () => (await count('kept')) === before + 1); // on a connection that lives
  });

  it('goes with the commit only in quiet: a process that notifies all the time sends one for many', async () => {
    const one = notify();
    expect(one.withCommit!(['a'])).toBe(`notify ${outboxChannel}, 'a'`);
    expect(one.withCommit!(['a'])).toBeUndefined();
    await until(() => one.withCommit!(['b']) !== undefined);
    const other = notify();
    other(['c']);
    expect(other.withCommit!(['c'])).toBeUndefined();
    await until(() => other.withCommit!(['d']) !== undefined);
  });
});
