// Handlers in transactions that lose against one another, on a database whose default level is serializable. Real: Postgres, attempts, handlers'
// transactions. Doubled: the slot of a worker, and its clock.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { openDatabase, type Database } from '../../src/db/pool.ts';
import { createConflicts } from '../../src/delivery/failure.ts';
import { createDeliver } from '../../src/delivery/deliver.ts';
import { createLog } from '../../src/metrics/log.ts';
import {
  createPostgresOutbox,
  defineJob,
  defineOutboxRegistry,
  createOutboxJobDispatcher,
  type HandlerContext,
} from '../../src/index.ts';
import { Attempt, type AttemptPorts } from '../../src/worker/attempt.ts';
import { createLeases } from '../../src/worker/lease.ts';
import { createSettler } from '../../src/worker/settler.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let own: Database;
let handlers: Database;
let handle: (ctx: HandlerContext) => Promise<void>;
let runs = 0;
const work = defineJob({
  name: 'work',
  payload: z.object({}),
  retry: { maxAttempts: 2 },
  async handler(ctx) {
    runs += 1;
    await handle(ctx);
  },
});
const registry = defineOutboxRegistry({ jobs: [work] });

beforeAll(async () => {
  database = await testDatabase();
  const name = new URL(database.url).pathname.slice(1);
  await database.db.executeSql(`create table counted (n int)`);
  await database.db.executeSql(`insert into counted values (0)`);
  await database.db.executeSql(`alter database ${name} set default_transaction_isolation = 'serializable'`);
  const common = { url: database.url, applicationName: 'conflicts', onIdleError: () => undefined };
  own = openDatabase({ ...common, use: 'ours', max: 4 });
  handlers = openDatabase({ ...common, use: 'application', max: 8 });
});
afterAll(async () => {
  await own.end();
  await handlers.end();
  await database.end();
});

async function worked(jobs: number, width = 8): Promise<Record<string, number>> {
  runs = 0;
  const outbox = createPostgresOutbox(own);
  await createOutboxJobDispatcher(outbox).dispatchMany(
    work,
    Array.from({ length: jobs }, () => ({ payload: {} })),
  );
  const clock = { now: () => performance.now() };
  const log = createLog({ level: 'silent', role: 'test' });
  const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  const outboxOn = createPostgresOutbox;
  const ports: AttemptPorts = {
    leases: createLeases(outbox, 60_000, clock),
    closer: {
      judge: async (_message, _outcome, settlement) => settlement,
      groupEnded: async () => undefined,
    },
    settler: createSettler({ outbox, pause, onRetry: () => undefined }),
    deliver: createDeliver({
      db: handlers,
      outboxOn,
      registry,
      emailFrom: null,
      mailing: null,
      log,
      onEmail: () => undefined,
    }),
    outboxOn,
    events: { attempted: () => undefined, rejected: () => undefined },
    conflicts: createConflicts(Math.random),
    clock,
    random: () => 0,
    notify: () => undefined,
  };
  const open = `select count(*)::int as n from waybill.outbox_messages where status in ('pending', 'failed', 'sending')`;
  for (;;) {
    const messages = await outbox.claimBatch({ limit: width, leaseMs: 60_000, workerId: 'w' });
    await Promise.all(
      messages.map(
        (message) =>
          new Promise<void>((resolve, reject) =>
            new Attempt(message, clock.now(), ports, {
              leave: () => undefined,
              end: (_, error) => (error === undefined ? resolve() : reject(error as Error)),
            }).run(),
          ),
      ),
    );
    const [left] = (await own.executeSql<{ n: number }>(open)).rows;
    if (left!.n === 0) break;
    if (messages.length === 0) await pause(5);
  }
  const { rows } = await own.executeSql<{ status: string; attempts: number; n: number }>(
    'select status, attempts, count(*)::int as n from waybill.outbox_messages group by 1, 2 order by 1, 2',
  );
  await own.executeSql('truncate waybill.outbox_messages cascade');
  return Object.fromEntries(rows.map(({ status, attempts, n }) => [`${status} ${attempts}`, n]));
}

describe('K: handlers that lose against one another', () => {
  it('do not, under read committed, which is what their transactions are whatever the database has as its default', async () => {
    handle = async (ctx) => void (await ctx.db.query('update public.counted set n = n + 1'));
    expect(await worked(40)).toEqual({ 'delivered 1': 40 });
    expect(runs).toBe(40);
  });

  it('run again without an attempt when they asked for a stricter level', async () => {
    handle = async (ctx) => {
      await ctx.db.query('set transaction isolation level serializable');
      await ctx.db.query('select n from public.counted');
      await ctx.db.query('update public.counted set n = n + 1');
    };
    expect(await worked(16, 4)).toEqual({ 'delivered 1': 16 });
    expect(runs).toBeGreaterThan(16);
    expect((await own.executeSql('select n from public.counted')).rows).toEqual([{ n: 56 }]);
  });

  it('E: end when they raise such an error each time', async () => {
    handle = async (ctx) => {
      await ctx.db.query(`do $$ begin raise exception 'never' using errcode = '40001'; end $$`);
    };
    expect(await worked(1)).toEqual({ 'dead 2': 1 });
  });
});
