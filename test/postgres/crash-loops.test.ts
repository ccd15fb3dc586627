// Crash points of the loops beside the path (crash-points.test.ts has the path): the scheduler, acts of people, bulk acts, and deliveries under limits
// and order keys. A process is cut off from the database before and after each of its requests; another one goes on. Real: Postgres. Doubled: the
// loops, which the test runs step by step, and the time of the scheduler. CRASH_POINTS=all cuts at each request; a usual run cuts at some, each time
// at others.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { start } from '../../src/acts/bulk.ts';
import { cancel, erase, reschedule, retry } from '../../src/acts/messages.ts';
import { pause } from '../../src/acts/queues.ts';
import { createScheduler } from '../../src/cron/scheduler.ts';
import type { Database } from '../../src/db/pool.ts';
import { defineAction } from '../../src/define/action.ts';
import { defineApp } from '../../src/define/app.ts';
import { defineCron } from '../../src/define/cron.ts';
import { defineJob } from '../../src/define/job.ts';
import { defineQueue } from '../../src/define/queue.ts';
import { createRegistry } from '../../src/define/registry.ts';
import type { NewMessage } from '../../src/message/message.ts';
import type { Actor } from '../../src/operate/audit.ts';
import { workBulk } from '../../src/operate/bulk-work.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { registerQueues } from '../../src/queues/queues.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { at, cronWorld } from '../support/cron.ts';
import { cutEverywhere, type Story } from '../support/cut.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { startLife } from '../support/life.ts';
import { wireTo } from '../support/severing.ts';
import { until } from '../support/wait.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
  await database.db.executeSql('create table effects (n bigint generated always as identity, payload int)');
});
afterAll(() => database.end());

const rows = async <Row = Record<string, unknown>>(sql: string, values: unknown[] = []): Promise<Row[]> =>
  (await database.db.executeSql<Row>(sql, values)).rows;

/** The last act of the story before: nothing may delete from the audit. */
let since = '0';

async function forget(): Promise<void> {
  since = (await rows<{ id: string }>('select coalesce(max(id), 0)::text as id from waybill.audit'))[0]!.id;
  const tables =
    'outbox_attempts outbox_notes cron_runs outbox_messages outbox_audit outbox_begun bulk_acts cron_jobs cron_loaded cron_manifests queue_permits';
  const deletes = tables
    .split(' ')
    .map((table) => `delete from waybill.${table};`)
    .join(' ');
  await rows(`do $$ begin ${deletes} delete from effects; end $$`); // quicker than to truncate so many tables
}

const states = (): Promise<unknown[]> =>
  rows(
    'select name, status, attempts, count(*)::int as n from waybill.outbox_messages group by 1, 2, 3 order by 1, 2, 3',
  );
const audit = (): Promise<unknown[]> =>
  rows('select act, count, count(*)::int as n from waybill.audit where id > $1 group by 1, 2 order by 1', [
    since,
  ]);
const actsDone = async (): Promise<ReadonlySet<string>> =>
  new Set(
    (await rows<{ act: string }>('select act from waybill.audit where id > $1', [since])).map(
      ({ act }) => act,
    ),
  );
const notes = (): Promise<unknown[]> =>
  rows('select type, count(*)::int as n from waybill.outbox_notes group by 1 order by 1');
const findings = async () => (await verifyOutbox(database.db)).findings;

async function record(name: string, count: number, over: Partial<NewMessage> = {}): Promise<string[]> {
  const message = { kind: 'job' as const, name, queue: 'q', payload: {}, ...over };
  const all = await createPostgresOutbox(database.db).enqueue(Array.from({ length: count }, () => message));
  return all.map(({ id }) => id);
}

const noop = defineAction({ name: 'noop', access: 'system', args: z.object({}), handler: async () => null });
const scheduled = defineApp({
  actions: [noop],
  cron: defineCron({
    jobs: ['one', 'other'].map((name) => ({
      name,
      schedule: '* * * * *',
      action: 'noop',
      missedTickPolicy: 'all' as const,
    })),
  }),
});

/** G: each tick is one run with one message. */
function scheduling(): Story<unknown> {
  const { events, zones, deploy } = cronWorld(database.db);
  const ignore = (): void => undefined;
  return {
    async reset() {
      await forget();
      await deploy(scheduled, at('2026-05-01T10:00:30Z'));
    },
    async live(db) {
      const step = createScheduler({ db, zones, events, observe: ignore, notify: ignore });
      await until(async () => (await step(at('2026-05-01T10:03:10Z'))) > 1_000, {
        what: 'no tick to be due',
      });
    },
    look: async () => [
      await rows(
        `select r.name, scheduled_at, r.status, m.status as message from waybill.cron_runs r
           left join waybill.outbox_messages m on m.id = r.message_id order by 1, 2`,
      ),
      await rows('select name, cursor_at, next_at from waybill.cron_jobs order by name'),
      await states(),
      await findings(),
    ],
  };
}

const actor: Actor = { by: 'ann', key: null, via: 'cli', requestId: null, reason: 'a wrong deploy' };

/** What a person does, and does again after a cut, unless the audit has it. */
function acting(): Story<unknown> {
  let ids: string[] = [];
  return {
    async reset() {
      await forget();
      await registerQueues(database.db, ['q']);
      await rows('update waybill.queues set paused_at = null, paused_by = null, paused_reason = null');
      ids = await record('acted', 4);
      const outbox = createPostgresOutbox(database.db);
      const [dead] = await outbox.claimBatch({ limit: 1, leaseMs: 60_000, workerId: 'w', ids: [ids[0]!] });
      await outbox.markFailed(dead!.id, dead!.claimToken, 'no', { permanent: true });
    },
    async live(db) {
      const all: Record<string, () => Promise<unknown>> = {
        'message.retry': () => retry(db, actor, ids[0]!),
        'message.cancel': () => cancel(db, actor, ids[1]!),
        'message.reschedule': () => reschedule(db, actor, ids[2]!, { inMs: 3_600_000 }),
        'message.erase': () => erase(db, actor, ids[3]!),
        'queue.pause': () => pause(db, actor, 'q', {}),
      };
      const done = await actsDone();
      for (const [name, act] of Object.entries(all)) if (!done.has(name)) await act();
    },
    look: async () => [
      await states(),
      await audit(),
      await notes(),
      await rows('select name, paused_by from waybill.queues where paused_at is not null'),
      await rows('select count(*)::int as later from waybill.outbox_messages where available_at > now()'),
      await findings(),
    ],
  };
}

/** A bulk act of two batches. */
async function actInBulk(db: Database): Promise<void> {
  const begun = await rows('select from waybill.bulk_acts');
  if (begun.length === 0)
    await start(db, actor, { action: 'cancel', filter: { name: 'many' }, expect: 'any' });
  await until(async () => {
    const step = await workBulk(db);
    return step.id === null && step.inMs === null;
  });
}

const bulk = (): Story<unknown> => ({
  async reset() {
    await forget();
    await record('many', 510);
    await record('others', 2);
  },
  live: actInBulk,
  look: async () => [
    await states(),
    await audit(),
    await notes(),
    await rows('select action, state, matched, changed, skipped, errors from waybill.bulk_acts'),
    await findings(),
  ],
});

const payload = z.number();
const job = (name: string, queue: string) =>
  defineJob({
    name,
    payload,
    queue,
    retry: { maxAttempts: 4, backoff: { initial: 1, max: 1 } },
    handler: async (ctx, n) => void (await ctx.db.query('insert into effects (payload) values ($1)', [n])),
  });
const limited = defineApp({
  jobs: [job('ordered', 'ordered'), job('single', 'single'), job('rated', 'rated'), job('shared', 'shared')],
  queues: [
    defineQueue({ name: 'ordered' }),
    defineQueue({ name: 'single', concurrency: 1 }),
    defineQueue({ name: 'rated', rate: { limit: 100, per: '1s' } }),
    defineQueue({ name: 'shared', perGroup: { concurrency: 1 } }),
  ],
});

/** Nobody waits for leases and permits of a process that is known to be dead. */
const bury = [
  `update waybill.outbox_messages set claimed_until = clock_timestamp() - interval '1 second', revision = revision + 1
    where id in (select id from waybill.outbox_messages where claimed_by = 'first' and claimed_until > now() for update skip locked)`,
  'update waybill.queue_permits set free_at = to_timestamp(0)',
];

async function deliverAll(url: string, workerId: string): Promise<void> {
  const wire = await wireTo(url);
  const life = startLife({
    app: limited,
    wire,
    workerId,
    slots: 2,
    isNotified: false,
    began: () => undefined,
  });
  const left = `select from waybill.outbox_messages where status in ('pending', 'sending', 'failed')`;
  for (let round = 0; (await rows(left)).length > 0; round++) {
    if (round === 60) throw new Error(`the ${workerId} life does not come to an end`);
    if (workerId === 'second') for (const sql of bury) await rows(sql);
    await life.round();
  }
  await life.end();
}

/** K and L: limits, permits, groups and order keys. */
function delivering(): Story<unknown> {
  const { limits, queues } = createRegistry(limited);
  return {
    async reset() {
      await forget();
      await registerQueues(database.db, queues, limits);
      const of = (name: string, n: number, over: Partial<NewMessage> = {}) =>
        record(name, 1, { queue: name, payload: n, maxAttempts: 4, ...over });
      for (const n of [1, 2, 3]) await of('ordered', n, { orderKey: 'a' });
      for (const n of [11, 12]) await of('single', n);
      for (const n of [21, 22]) await of('rated', n);
      for (const n of [31, 32]) await of('shared', n, { group: n === 31 ? 'x' : 'y' });
    },
    live: (_, url) => deliverAll(url, 'first'),
    recover: () => deliverAll(database.url, 'second'),
    look: async () => [
      await rows(
        'select name, status, count(*)::int as n from waybill.outbox_messages group by 1, 2 order by 1, 2',
      ),
      await rows('select payload from effects where payload < 10 order by n'),
      await rows('select payload from effects where payload > 10 order by payload'),
      await rows('select from waybill.outbox_order_changes'),
      await findings(),
    ],
  };
}

/** Loop, the least number of its requests, and at every which of them a usual run cuts it off. */
const loops: readonly (readonly [string, () => Story<unknown>, number, number])[] = [
  ['G: the scheduler dispatches each tick once', scheduling, 5, 1],
  ['acts of people are done with their audit, once', acting, 15, 2],
  ['a bulk act changes each message once, and is in the audit once', bulk, 15, 4],
  ['K, L: deliveries under limits and order keys write once, and in order', delivering, 30, 8],
];
const isWhole = process.env['CRASH_POINTS'] === 'all';

describe.each(loops)('%s', (name, story, least, stride) => {
  it.each(['before', 'after'] as const)(
    'whichever request was the last, cut %s the server heard of it',
    { timeout: isWhole ? 600_000 : 120_000 },
    async (side) => {
      const found = await cutEverywhere(story(), database.url, side, isWhole ? 1 : stride);
      console.log(`${name}: ${found.requests} requests, cut off ${side} ${found.cuts} of them`);
      expect(found.requests).toBeGreaterThan(least);
      expect(found.cuts).toBeGreaterThanOrEqual(Math.floor(least / stride));
    },
  );
});
