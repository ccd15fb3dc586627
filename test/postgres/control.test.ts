// Statements that begin or end a transaction, in the transaction of a handler: as texts, in every form that pg takes, and by way of the
// transactions of real query builders. Jobs begin their transaction lazily, actions at once: both are tried.

import { drizzle } from 'drizzle-orm/node-postgres';
import { sql } from 'drizzle-orm';
import knex from 'knex';
import { Kysely, PostgresDialect, type PostgresPool } from 'kysely';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createActionRunner } from '../../src/action/run.ts';
import type { ActionContext } from '../../src/define/context.ts';
import { createRegistry } from '../../src/define/registry.ts';
import { defineAction, defineApp, defineJob, drainOutbox, enqueueJob } from '../../src/index.ts';
import { createLog } from '../../src/metrics/log.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

type Script = (ctx: ActionContext) => Promise<unknown>;
let script: Script;
const job = defineJob({
  name: 'job',
  payload: z.object({}),
  handler: async (ctx) => void (await script(ctx)),
});
const other = defineJob({ name: 'other', payload: z.object({}), handler: async () => undefined });
const action = defineAction({
  name: 'act',
  args: z.object({}),
  access: 'public',
  handler: async (ctx) => void (await script(ctx)),
});
const app = defineApp({ jobs: [job, other], actions: [action] });
const registry = createRegistry(app);

let database: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  database = await testDatabase();
  pool = new pg.Pool({ connectionString: database.url, max: 3 });
  await pool.query('create table effects (name text)');
});
beforeEach(() => pool.query('truncate waybill.outbox_messages, effects cascade'));
afterAll(async () => {
  await pool.end();
  await database.end();
});

async function effects(): Promise<string[]> {
  return (await pool.query<{ name: string }>('select name from effects order by name')).rows.map(
    ({ name }) => name,
  );
}

type End = {
  readonly status: string;
  readonly error: string | null;
  readonly effects: string[];
  readonly others: number;
};

async function asJob(what: Script): Promise<End> {
  script = what;
  const outbox = createPostgresOutbox(pool);
  const { id } = await enqueueJob(outbox, job, {});
  const quiet = createLog({ level: 'silent', role: 'test' });
  await drainOutbox({ outbox, registry, pool, batchSize: 1, log: quiet });
  const row = `select status, last_error as error, (select count(*)::int from waybill.outbox_messages where name = 'other') as others
    from waybill.outbox_messages where id = $1`;
  return { ...(await pool.query<Omit<End, 'effects'>>(row, [id])).rows[0]!, effects: await effects() };
}

async function asAction(what: Script): Promise<unknown> {
  script = what;
  const runner = createActionRunner({
    db: database.db,
    registry,
    outboxOn: createPostgresOutbox,
    emailFrom: null,
    log: createLog({ level: 'silent', role: 'test' }),
    notify: () => undefined,
  });
  return runner.run('act', {}, { invoker: { type: 'anonymous' }, requestId: 'test' });
}

const insert = 'insert into effects values ($1)';
type Query = (...given: unknown[]) => unknown;
const rawOf = (ctx: ActionContext): Query => ctx.db.client.query as Query;

describe('A: a statement that begins or ends a transaction is refused, and nothing is kept', () => {
  const ways: [string, Script][] = [
    ['ctx.db.query', (ctx) => ctx.db.query('commit')],
    ['several statements', (ctx) => ctx.db.query('select 1; /* now */ COMMIT; begin')],
    ['a config', async (ctx) => rawOf(ctx)({ text: 'rollback' })],
    ['a config through ctx.db.query', (ctx) => ctx.db.query({ text: 'rollback' } as unknown as string)],
    ['a nested transaction', (ctx) => ctx.db.transaction((tx) => tx.query('commit'))],
    ['a Query', async (ctx) => rawOf(ctx)(new pg.Query('end'))],
    ['a savepoint of ours', (ctx) => ctx.db.transaction((tx) => tx.query('rollback to waybill_1'))],
    [
      'a callback',
      (ctx) =>
        new Promise((resolve, reject) => {
          rawOf(ctx)('abort', (error: Error | null) => (error ? reject(error) : resolve(undefined)));
        }),
    ],
  ];

  it.each(ways)('%s, in a job', async (_, way) => {
    const end = await asJob(async (ctx) => {
      await ctx.db.query(insert, ['written']);
      await ctx.jobs.dispatch(other, {});
      await way(ctx);
    });
    expect(end).toMatchObject({ status: 'dead', effects: [], others: 0 });
    expect(end.error).toMatch(/^transaction_statement: .*ctx\.db\.transaction/);
  });

  it.each(ways)('%s, in an action', async (_, way) => {
    const running = asAction(async (ctx) => {
      await ctx.db.query(insert, ['written']);
      await way(ctx);
    });
    await expect(running).rejects.toMatchObject({ code: 'transaction_statement' });
    expect(await effects()).toEqual([]);
  });

  it('a handler that catches the refusal goes on: nothing was sent', async () => {
    const end = await asJob(async (ctx) => {
      await ctx.db.query(insert, ['written']);
      await ctx.db.query('commit').catch(() => undefined);
      await ctx.db.query('savepoint mine; rollback to mine; release mine');
    });
    expect(end).toMatchObject({ status: 'delivered', effects: ['written'] });
  });
});

describe('A: what no reading of the text finds is found by the server, and is no success', () => {
  /** Nobody can read what it will send. */
  const hidden = (text: string): object => ({
    submit: (connection: { query(text: string): void }) => connection.query(text),
    handleRowDescription: () => undefined,
    handleDataRow: () => undefined,
    handleCommandComplete: () => undefined,
    handleError: () => undefined,
    handleReadyForQuery: () => undefined,
  });

  it.each([['commit'], ['commit and chain'], ['commit; begin']])('%s, hidden, in a job', async (text) => {
    const end = await asJob(async (ctx) => {
      await ctx.db.query(insert, ['before']);
      rawOf(ctx)(hidden(text));
      await ctx.db.query(insert, ['after']);
    });
    expect(end).toMatchObject({ status: 'dead' });
    expect(end.error).toMatch(/^transaction_lost: .*COMMIT.*ctx\.db\.transaction/);
  });

  it.each([['commit'], ['rollback'], ['commit; begin']])('%s, hidden, in an action', async (text) => {
    const running = asAction(async (ctx) => {
      await ctx.db.query(insert, ['before']);
      rawOf(ctx)(hidden(text));
      await ctx.db.query('select 1');
    });
    await expect(running).rejects.toMatchObject({ code: 'transaction_lost' });
  });

  it('a commit inside of do or call fails by itself', async () => {
    const end = await asJob((ctx) => ctx.db.query('do $$ begin commit; end $$'));
    expect(end).toMatchObject({
      status: 'failed',
      error: expect.stringMatching(/^invalid transaction termination/) as string,
    });
  });
});

describe('query builders on ctx.db.client', () => {
  const drizzleOn = (client: unknown) => drizzle({ client: client as pg.Client });
  const kyselyOn = (client: { query: unknown }) =>
    new Kysely<{ effects: { name: string } }>({
      dialect: new PostgresDialect({
        pool: {
          connect: async () => ({ query: client.query, release: () => undefined }),
          end: async () => undefined,
        } as unknown as PostgresPool,
      }),
    });
  const builder = knex({ client: 'pg' });
  afterAll(() => builder.destroy());

  const own: [string, Script][] = [
    [
      'Drizzle',
      (ctx) =>
        drizzleOn(ctx.db.client).transaction((tx) => tx.execute(sql`insert into effects values ('in')`)),
    ],
    [
      'Kysely',
      (ctx) =>
        kyselyOn(ctx.db.client)
          .transaction()
          .execute((trx) => trx.insertInto('effects').values({ name: 'in' }).execute()),
    ],
    ['Knex', async (ctx) => builder.raw('begin').connection(ctx.db.client)],
  ];
  it.each(own)(
    'A: a transaction of %s itself is refused, with our words in the last error',
    async (_, way) => {
      const end = await asJob(async (ctx) => {
        await ctx.db.query(insert, ['written']);
        await way(ctx);
      });
      expect(end).toMatchObject({ status: 'dead', effects: [] });
      expect(end.error).toMatch(/^transaction_statement: .*`begin`.*ctx\.db\.transaction/);
    },
  );

  const joined: [string, (client: never, name: string) => Promise<unknown>][] = [
    ['Drizzle', (client, name) => drizzleOn(client).execute(sql`insert into effects values (${name})`)],
    ['Kysely', (client, name) => kyselyOn(client).insertInto('effects').values({ name }).execute()],
    ['Knex', async (client, name) => builder('effects').insert({ name }).connection(client)],
    [
      'a Query of pg',
      (client, name) =>
        new Promise((resolve, reject) => {
          const query = (client as { query: Query }).query(new pg.Query(insert, [name])) as pg.Query;
          query.once('end', resolve).once('error', reject);
        }),
    ],
  ];
  it.each(joined)('A: statements of %s join the transaction, nested ones too', async (_, write) => {
    const body: Script = async (ctx) => {
      await write(ctx.db.client as never, 'outer');
      await ctx.db.transaction((tx) => write(tx.client as never, 'nested'));
      const undone = ctx.db.transaction(async (tx) => {
        await write(tx.client as never, 'undone');
        throw new Error('planned');
      });
      await expect(undone).rejects.toThrow('planned');
    };
    expect(await asJob(body)).toMatchObject({ status: 'delivered', effects: ['nested', 'outer'] });
    await pool.query('truncate effects');
    await asAction(body);
    expect(await effects()).toEqual(['nested', 'outer']);
    await pool.query('truncate effects');
    const failing = await asJob(async (ctx) => {
      await body(ctx);
      throw new Error('all of it');
    });
    expect(failing).toMatchObject({
      status: 'failed',
      error: expect.stringMatching(/^all of it/) as string,
      effects: [],
    });
  });
});
