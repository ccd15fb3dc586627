// Crash-point enumeration: an application records, a relay relays, a worker delivers, and all of it dies at its k-th request to the database,
// before the server heard of the request or after it answered. Another life then finds what is left. CRASH_POINTS=all takes every k; a usual run
// takes every fourth, each time others.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineApp } from '../../src/define/app.ts';
import { defineEvent } from '../../src/define/event.ts';
import { defineJob } from '../../src/define/job.ts';
import { defineListener } from '../../src/define/listener.ts';
import { createOutboxEventRecorder, enqueueJob } from '../../src/define/recorder.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { startLife, type Life } from '../support/life.ts';
import { wireTo, type Side } from '../support/severing.ts';

const payload = z.object({});
const retry = { maxAttempts: 4, backoff: { initial: 1, max: 1 } };
const nothing = async (): Promise<void> => undefined;
const ordered = defineEvent({ name: 'ordered', payload });
const plain = defineJob({ name: 'plain', payload, retry, handler: nothing });
const follow = defineJob({ name: 'follow', payload, retry, handler: nothing });
const flaky = defineJob({
  name: 'flaky',
  payload,
  retry,
  async handler(ctx) {
    if (ctx.message.attempt === 1) throw new Error('not the first time');
  },
});
/** What it writes, and the message that it records, commit with its end. */
const writes = defineJob({
  name: 'writes',
  payload,
  retry,
  async handler(ctx) {
    await ctx.db.query('insert into shop_effects (message_id) values ($1)', [ctx.message.id]);
    await ctx.jobs.dispatch(follow, {});
  },
});
const listeners = ['one', 'other'].map((name) =>
  defineListener({ name, event: ordered, retry, handler: nothing }),
);
const app = defineApp({ events: [ordered], listeners, jobs: [plain, follow, flaky, writes] });

const slots = 2;
let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase({ max: 3 });
  await database.db.executeSql('create table shop_orders (id int primary key)');
  await database.db.executeSql('create table shop_effects (message_id uuid)');
});
afterAll(() => database.end());
beforeEach(() => forget());

async function forget(): Promise<void> {
  await database.db.executeSql(
    'truncate waybill.outbox_begun, waybill.outbox_messages, waybill.outbox_audit, shop_orders, shop_effects cascade',
  );
  await database.db.executeSql(
    `do $$ begin if to_regclass('pgboss.job') is not null then delete from pgboss.job; end if; end $$`,
  );
}

async function record({ db }: Life): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.executeSql('insert into shop_orders (id) values (1)');
    const outbox = createPostgresOutbox(tx);
    await createOutboxEventRecorder(outbox).record(ordered, {});
    for (const job of [plain, plain, plain, flaky, writes]) await enqueueJob(outbox, job, {});
  });
}

type Story = { readonly begun: Map<string, number>; readonly requests: number; readonly crashed: boolean };

async function rows<T>(sql: string, values: unknown[] = []): Promise<T[]> {
  return (await database.db.executeSql<T>(sql, values)).rows;
}

async function left(): Promise<number> {
  const sql = `select count(*)::int as n from waybill.outbox_messages where status in ('pending', 'sending', 'failed')`;
  return (await rows<{ n: number }>(sql))[0]!.n;
}

/** Nobody waits for a lease to run out whose owner is known to be dead. A statement of that owner may still hold some rows: the next round has them. */
const bury = `update waybill.outbox_messages set claimed_until = clock_timestamp() - interval '1 second', revision = revision + 1
  where id in (select id from waybill.outbox_messages where claimed_by = 'first' and claimed_until > now() for update skip locked)`;

async function tell(point: number | undefined, side: Side, isNotified: boolean): Promise<Story> {
  const begun = new Map<string, number>();
  const began = ({ id }: { readonly id: string }): void => void begun.set(id, (begun.get(id) ?? 0) + 1);
  const wire = await wireTo(database.url, point, side);
  const first = startLife({ app, wire, workerId: 'first', slots, isNotified, began });
  try {
    await Promise.race([record(first), wire.broken]);
    do await first.round();
    while ((await left()) > 0);
  } catch (error) {
    if (!wire.isBroken) throw error;
  }
  const { isBroken: crashed } = wire;
  await first.end();
  if (crashed) await recover(isNotified, began);
  return { begun, requests: wire.requests(), crashed };
}

async function recover(
  isNotified: boolean,
  began: (message: { readonly id: string }) => void,
): Promise<void> {
  const wire = await wireTo(database.url);
  const second = startLife({ app, wire, workerId: 'second', slots, isNotified, began });
  for (let round = 0; round === 0 || (await left()) > 0; round++) {
    if (round === 30) throw new Error('the second life does not come to an end');
    await rows(bury);
    await second.round();
  }
  await second.end();
}

type Row = { id: string; name: string; status: string; attempts: number };

async function check({ begun, crashed }: Story): Promise<void> {
  const all = await rows<Row>('select id, name, status, attempts from waybill.outbox_messages');
  const [order] = await rows('select from shop_orders');
  // A: the message exists if and only if the business row does. B: all of them were delivered.
  const names = ['flaky', 'follow', 'one', 'ordered', 'other', 'plain', 'plain', 'plain', 'writes'];
  expect(all.map(({ name }) => name).toSorted()).toEqual(order ? names : []);
  expect(all.filter(({ status }) => status !== 'delivered')).toEqual([]);
  // C: what a handler wrote is there once. F: a life that ended is an attempt, and what failed is one more.
  expect(await rows('select message_id as id from shop_effects')).toEqual(
    all.filter(({ name }) => name === 'writes').map(({ id }) => ({ id })),
  );
  for (const { id, name, attempts } of all) {
    // E: what began was counted. D: a crash repeats what was under way, once.
    expect(begun.get(id)).toBeLessThanOrEqual(attempts);
    expect(attempts).toBeLessThanOrEqual((name === 'flaky' ? 2 : 1) + (crashed ? 1 : 0));
  }
  const repeated = all.filter(({ id, name }) => begun.get(id)! > (name === 'flaky' ? 2 : 1));
  expect(repeated.length).toBeLessThanOrEqual(crashed ? 2 * slots : 0);
  expect((await verifyOutbox(database.db)).findings).toEqual([]);
  // A wake-up that is left over wakes a worker for nothing, once.
  expect((await rows(`select from pgboss.job`)).length).toBeLessThanOrEqual(16);
}

const isWhole = process.env['CRASH_POINTS'] === 'all';
const stride = isWhole ? 1 : 4;

describe.each([
  ['told by wake-ups and polls', false],
  ['told by NOTIFY', true],
])('a life that ends at any of its requests, %s', (_, isNotified) => {
  it.each(['before', 'after'] as const)(
    'A to F: %s the server heard of it, loses nothing and repeats little',
    { timeout: isWhole ? 600_000 : 240_000 },
    async (side) => {
      const whole = await tell(undefined, side, isNotified);
      await check(whole);
      expect(whole.crashed).toBe(false);
      let prefetched = 0; // stories in which the first life, or the second, had prefetched something and begun it
      let point = Math.floor(Math.random() * stride);
      for (; ; point += stride) {
        await forget();
        const story = await tell(point, side, isNotified);
        prefetched += (await rows('select from waybill.outbox_begun')).length;
        try {
          await check(story);
        } catch (error) {
          throw new Error(`after a crash at request ${point}: ${(error as Error).message}`, {
            cause: error,
          });
        }
        if (!story.crashed) break;
      }
      expect(point).toBeGreaterThan(20);
      expect(prefetched).toBeGreaterThan(0);
    },
  );
});
