// Recording one message keeps its plan in the session (src/db/prepared.ts), where the session is the client's own.

import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { toExecutor } from '../../src/db/executor.ts';
import { openDatabase, type Database } from '../../src/db/pool.ts';
import { byIndexAlone, withFreshPlans } from '../../src/db/prepared.ts';
import type { Settlement } from '../../src/message/outcome.ts';
import { settleStatement } from '../../src/outbox/settle.ts';
import { createPostgresOutbox, type NewMessage } from '../../src/index.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let client: pg.Client;
beforeAll(async () => {
  database = await testDatabase();
});
beforeEach(async () => {
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  return () => client.end();
});
afterAll(() => database.end());

const message: NewMessage = { kind: 'job', name: 'note', queue: 'jobs', payload: {} };

async function record(over: Partial<NewMessage> = {}, end = 'commit'): Promise<string> {
  await client.query('begin');
  try {
    const { id } = await createPostgresOutbox(client).enqueue({ ...message, ...over });
    await client.query(end);
    return id;
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}

/** How often each statement that the session has prepared was run. */
async function prepared(): Promise<number[]> {
  const sql = `select (generic_plans + custom_plans)::int as runs from pg_prepared_statements where name like 'waybill%' order by 1`;
  return (await client.query<{ runs: number }>(sql)).rows.map(({ runs }) => runs);
}

async function stored(id: string): Promise<object | undefined> {
  const sql = `select priority, request_id, available_at > now() as later from waybill.outbox_messages where id = $1`;
  return (await database.db.executeSql(sql, [id])).rows[0];
}

describe('a client of pg', () => {
  it('prepares what it records a second time, and keeps it over transactions, also rolled back ones', async () => {
    await record();
    expect(await prepared()).toEqual([]);
    await record();
    expect(await prepared()).toEqual([1]);
    await record({}, 'rollback');
    for (let i = 0; i < 10; i++) await record();
    expect(await prepared()).toEqual([12]);
  });

  it('prepares a text for each choice of columns, and none takes the values of another', async () => {
    const tomorrow = new Date(Date.now() + 86_400_000);
    const plain = { priority: 0, request_id: null, later: false };
    for (let i = 0; i < 3; i++) {
      expect(await stored(await record())).toEqual(plain);
      expect(await stored(await record({ priority: 7 }))).toEqual({ ...plain, priority: 7 });
      expect(await stored(await record({ requestId: 'r', availableAt: tomorrow }))).toEqual({
        ...plain,
        request_id: 'r',
        later: true,
      });
    }
    expect(await prepared()).toEqual([2, 3, 3]);
  });

  it('records on when somebody else took the prepared statements away: one transaction fails, and says why', async () => {
    for (let i = 0; i < 3; i++) await record();
    await client.query('discard all');
    await expect(record({ requestId: 'lost' })).resolves.toBeDefined(); // another text, prepared now
    await expect(record({ name: 'refused' })).rejects.toMatchObject({
      code: '26000',
      hint: expect.stringContaining('run the transaction again'),
    });
    for (let i = 0; i < 3; i++) await record({ name: 'after' });
    const { rows } = await database.db.executeSql(
      `select name, count(*)::int as n from waybill.outbox_messages where name in ('refused', 'after') group by 1`,
    );
    expect(rows).toEqual([{ name: 'after', n: 3 }]);
  });

  it('asks on when a migration has changed what a statement answers with: once it fails', async () => {
    const ask = async () =>
      (await toExecutor(client).executeSql('select * from pg_temp.shape', [], true)).rows;
    await client.query('create temporary table shape as select 1 as a');
    for (let i = 0; i < 3; i++) expect(await ask()).toEqual([{ a: 1 }]);
    await client.query('alter table shape add column b int default 2');
    await expect(ask()).rejects.toMatchObject({ code: '0A000', hint: expect.stringContaining('migration') });
    for (let i = 0; i < 3; i++) expect(await ask()).toEqual([{ a: 1, b: 2 }]);
  });

  it('whose session is not its own prepares nothing', async () => {
    Object.assign(client, { processID: 1 }); // as a pooler would greet it
    for (let i = 0; i < 5; i++) await record();
    expect(await prepared()).toEqual([]);
  });

  it('prepares nothing through a stand-in that knows texts and values only', async () => {
    const query = (text: string, values?: unknown[]) => client.query(text, values);
    for (let i = 0; i < 5; i++) await createPostgresOutbox({ query }).enqueue(message);
    expect(await prepared()).toEqual([]);
  });

  it('prepares what a handler settles, and forgets plans from the time when the table was small', async () => {
    const few = await createPostgresOutbox(database.db).enqueue(Array.from({ length: 20 }, () => message));
    await database.db.executeSql('vacuum analyze waybill.outbox_messages');
    const outbox = createPostgresOutbox(client);
    const claims = await outbox.claimBatch({
      limit: 20,
      leaseMs: 60_000,
      workerId: 'w',
      ids: few.map(({ id }) => id),
    });
    for (const { id, claimToken } of claims.slice(1))
      expect(await outbox.settle([{ id, claimToken, to: 'delivered', then: [] }])).toHaveLength(1);
    const [{ name } = { name: '' }] = (
      await client.query<{ name: string }>(
        `select name from pg_prepared_statements where statement like '%ended as%'`,
      )
    ).rows;
    const plan = async () =>
      JSON.stringify(
        (await client.query(`explain execute ${name}('${claims[0]!.id}', '${claims[0]!.claimToken}')`)).rows,
      );
    expect(await plan()).toContain('Seq Scan on outbox_messages');
    await database.db.executeSql(
      `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, available_at, revision)
       select gen_random_uuid(), 'job', 'n', 'later', '{}', 5, now() + interval '1 day', 0 from generate_series(1, 20000)`,
    );
    expect(await plan()).toContain('Seq Scan on outbox_messages');
    expect(withFreshPlans(client, 'begin', 0)).toBe('begin');
    expect(withFreshPlans(client, 'begin', 4_999)).toBe('begin');
    const begin = withFreshPlans(client, 'begin', 5_000);
    expect(withFreshPlans(client, 'begin', 5_001)).toBe('begin');
    await client.query(begin);
    expect(await plan()).not.toContain('Seq Scan on outbox_messages');
    await client.query('commit');
  });

  it('prepares the statement of each table of its own', async () => {
    await client.query('create table waybill.other (like waybill.outbox_messages including all)');
    for (let i = 0; i < 3; i++) {
      await createPostgresOutbox(client).enqueue(message);
      await createPostgresOutbox(client, { tableName: 'waybill.other' }).enqueue(message);
    }
    expect(await prepared()).toEqual([2, 3]);
    expect((await client.query('select from waybill.other')).rowCount).toBe(3);
  });
});

describe('a pool whose sessions keep plans', () => {
  let pool: Database;
  beforeEach(() => {
    const settings = { url: database.url, max: 1, applicationName: 'planned', onIdleError: () => undefined };
    pool = openDatabase({ ...settings, planning: byIndexAlone });
    return () => pool.end();
  });
  const ask = async (sql: string, often: boolean, values: readonly unknown[] = []) =>
    (await pool.executeSql<Record<string, unknown>>(sql, values, often)).rows;
  const runs = () =>
    ask(
      'select generic_plans::int as generic, custom_plans::int as custom from pg_prepared_statements',
      false,
    );

  it('makes one plan of what is asked often, whatever the values, and none of the rest', async () => {
    for (let i = 0; i < 5; i++) {
      expect(await ask('select $1::int + 1 as n', true, [i])).toEqual([{ n: i + 1 }]);
      expect(await ask('select $1::int + 2 as n', false, [i])).toEqual([{ n: i + 2 }]);
    }
    expect(await runs()).toEqual([{ generic: 4, custom: 0 }]);
  });

  it('asks on after an error, and gives its connection back', async () => {
    for (let i = 0; i < 3; i++)
      await expect(ask('select 1 / $1::int as n', true, [0])).rejects.toMatchObject({ code: '22012' });
    expect(await ask('select 1 / $1::int as n', true, [1])).toEqual([{ n: 1 }]);
  });

  it('I: settles by the index, also with a plan that was made while nothing waited', async () => {
    await database.db.executeSql('analyze waybill.outbox_messages');
    const outbox = createPostgresOutbox(pool);
    const all = await createPostgresOutbox(database.db).enqueue(Array.from({ length: 300 }, () => message));
    const claimed = async (ids: string[]) =>
      outbox.claimBatch({ limit: 300, leaseMs: 60_000, workerId: 'w', ids });
    const ids = all.map(({ id }) => id);
    const [some, others] = [await claimed(ids.slice(0, 150)), await claimed(ids.slice(150))];
    const claims = some.flatMap((one, i) => [one, others[i]!]); // neighbours have two tokens
    const ends = claims.map(({ id, claimToken }): Settlement => ({
      id,
      claimToken,
      to: 'delivered',
      then: [],
    }));
    // One message, and several of several claims, have statements of their own.
    for (const [from, to] of [
      [0, 1],
      [1, 2],
      [2, 3],
      [3, 5],
      [5, 7],
      [7, 300],
    ] as const)
      expect((await outbox.settle(ends.slice(from, to))).map(({ id }) => id).toSorted()).toEqual(
        ends
          .slice(from, to)
          .map(({ id }) => id)
          .toSorted(),
      );
    expect((await runs()).toSorted((a, b) => Number(a['generic']) - Number(b['generic']))).toEqual([
      { generic: 3, custom: 0 }, // the claim
      { generic: 3, custom: 0 },
      { generic: 3, custom: 0 },
    ]);
    const kept = await ask(
      `select name, statement from pg_prepared_statements where statement like '%ended as%'`,
      false,
    );
    expect(kept).toHaveLength(2);
    for (const { name, statement } of kept) {
      const given = String(statement).includes('array_position') ? `'{}', '{}'` : 'null, null';
      const plan = JSON.stringify(await ask(`explain execute ${String(name)}(${given})`, false));
      expect(plan).toContain('Index Scan');
      expect(plan).not.toContain('Seq Scan');
    }
    expect(await outbox.settle(ends.slice(0, 2))).toEqual([]); // C: settled already
  });

  it('takes ids in binary: the same as the text says', async () => {
    const sql = 'select $1::uuid[]::text as ids, $2::uuid[]::text as tokens';
    const one = 'select $1::uuid::text as id, $2::uuid::text as token';
    for (const count of [1, 2, 9, 500]) {
      const uuid = () => crypto.randomUUID();
      const ends = Array.from({ length: count }, (): Settlement => ({
        id: uuid(),
        claimToken: uuid(),
        to: 'delivered',
        then: [],
      }));
      const values = (isBinary: boolean): unknown[] => settleStatement(ends, [], isBinary).values;
      expect(await ask(count > 1 ? sql : one, true, values(true))).toEqual(
        await ask(count > 1 ? sql : one, true, values(false)),
      );
    }
  });
});
