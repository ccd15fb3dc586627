// What an import carries from each source, what it leaves there, and what becomes of a job when the import dies at each of its steps. Real: pg-boss,
// graphile-worker and BullMQ, which put the jobs in; Postgres and Redis. Doubled: the death, which is an error that is thrown.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { createRegistry } from '../../src/define/registry.ts';
import { parsePayloadKeys, type PayloadKeys } from '../../src/message/seal.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { bullmqSource } from '../../src/transfer/bullmq.ts';
import { exportMessages, type Receiver } from '../../src/transfer/export.ts';
import { graphileWorkerTables } from '../../src/transfer/graphile-worker.ts';
import { importJobs, type ImportOptions, type ImportReport } from '../../src/transfer/import.ts';
import { parseImportMap, readImportMap, type MapRow } from '../../src/transfer/import-map.ts';
import { pgBossReceiver } from '../../src/transfer/into-pg-boss.ts';
import { openLineFile, streamReceiver } from '../../src/transfer/ndjson-file.ts';
import { ndjsonSource } from '../../src/transfer/ndjson.ts';
import { pgBossTables } from '../../src/transfer/pg-boss.ts';
import { postgresSource } from '../../src/transfer/postgres-source.ts';
import type { Source } from '../../src/transfer/source.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import app from '../support/import-app.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import * as peers from '../support/peers.ts';
import { hasRedis, startRedis, type TestRedis } from '../support/redis.ts';

let database: TestDatabase;
let other: TestDatabase;
const registry = createRegistry(app.app);
const payloadKeys = parsePayloadKeys(`k1:${Buffer.alloc(32, 1).toString('base64')}`) as PayloadKeys;
const folder = mkdtempSync(join(tmpdir(), 'waybill-import-'));

beforeAll(async () => {
  database = await testDatabase();
  other = await testDatabase({ migrated: false });
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await other.end();
  await database.end();
});
beforeEach(async () => {
  await database.db.executeSql('truncate waybill.outbox_messages cascade');
  await database.db.executeSql('truncate waybill.outbox_audit');
});

type Rows = Readonly<Record<string, object>>;
const mapOf = (queues: Rows) => parseImportMap(JSON.stringify({ queues }), 'map.json');

/** @param db where the messages are recorded, if not in the database */
async function imported(
  source: Source,
  queues: Rows,
  options: Partial<ImportOptions> = {},
  db = database.db,
): Promise<ImportReport> {
  return importJobs(
    source,
    { source: source.name, map: mapOf(queues), registry, maxPayloadBytes: 262_144, emailFrom: 'shop@a.test' },
    { source: source.name, db, maxPayloadBytes: 262_144, payloadKeys },
    {
      dryRun: false,
      strict: false,
      skipUnmapped: false,
      failed: false,
      limit: undefined,
      batchSize: 10,
      signal: new AbortController().signal,
      onProgress: () => undefined,
      ...options,
    },
  );
}

type Message = {
  readonly kind: string;
  readonly name: string;
  readonly queue: string;
  readonly payload: unknown;
  readonly due: string;
  readonly priority: number;
  readonly most: number;
  readonly key: string;
  readonly order: string | null;
  readonly group: string | null;
  readonly tags: readonly string[] | null;
};
async function messages(): Promise<Message[]> {
  const sql = `
    select kind, name, queue, payload, to_json(coalesce(order_due, available_at)) #>> '{}' as due, priority, max_attempts as most, delivery_key as key,
           order_key as "order", group_key as "group", tags from waybill.outbox_messages where status = 'pending' order by id`;
  const { rows } = await database.db.executeSql<Message>(sql);
  return rows.map((row) => ({ ...row, due: new Date(row.due).toISOString() })); // a Date has milliseconds, a row microseconds
}

const receipt = { kind: 'job', name: 'receipt' };
const tomorrow = new Date(Date.now() + 86_400_000);
const here = (tables: ReturnType<typeof pgBossTables>): Source =>
  postgresSource(tables, { db: database.db, isHere: true });
/** The source's database is not closed with the source: other tests go on with it. */
const there = (tables: ReturnType<typeof pgBossTables>): Source =>
  postgresSource(tables, { db: other.db, isHere: false });

describe('pg-boss', () => {
  async function open(schema: string) {
    const boss = await peers.startPgBoss(database.url, schema);
    onTestFinished(() => boss.stop({ graceful: false }));
    return boss;
  }

  it('carries due time, priority, attempts, group, order; leaves what runs, what ended, and flows', async () => {
    const boss = await open('carried');
    await boss.createQueue('receipt', { retryLimit: 4 });
    await boss.createQueue('steps', { policy: 'key_strict_fifo' });
    await boss.createQueue('mail');
    await boss.send('receipt', { n: 1 }, { startAfter: tomorrow, priority: 5_000, group: { id: 'acme' } });
    for (const n of [2, 3]) await boss.send('steps', { n }, { singletonKey: 'a1', priority: -3 });
    await boss.send('mail', { recipient: 'ann@b.test', subject: 's', text: 't', noise: 1 });
    await boss.send('receipt', { n: 4 });
    const [running] = await boss.fetch('receipt');
    await boss.send('receipt', { n: 5 });
    const [failing] = await boss.fetch<object>('receipt');
    await boss.fail('receipt', failing!.id);
    await boss.schedule('receipt', '0 3 * * *', null, { tz: 'Europe/Berlin' });

    const report = await imported(here(pgBossTables('carried')), {
      receipt,
      steps: { kind: 'job', name: 'account' },
      mail: {
        kind: 'email',
        pick: ['recipient', 'subject', 'text'],
        rename: { recipient: 'to' },
        tags: ['old'],
      },
    });
    expect(report).toMatchObject({ imported: 5, already: 0, misfits: { count: 0 }, left: 0, end: 'done' });
    expect(report.queues.find(({ queue }) => queue === 'receipt')).toMatchObject({
      inFlight: 1,
      pending: 2,
      imported: 2,
    });
    expect(report.schedules).toEqual([{ name: 'receipt', schedule: '0 3 * * *', timeZone: 'Europe/Berlin' }]);
    const found = await messages();
    const byN = (n: number) => found.find(({ payload }) => (payload as { n?: number }).n === n)!;
    expect(byN(1)).toMatchObject({ queue: 'jobs', priority: 1_000, most: 5, group: 'acme' });
    expect(Math.abs(Date.parse(byN(1).due) - tomorrow.getTime())).toBeLessThan(1_000);
    expect(byN(5)).toMatchObject({
      most: 4,
      key: expect.stringMatching(/^import:pg-boss:receipt:\d{20}:/) as string,
    });
    expect(byN(2)).toMatchObject({ queue: 'accounts', order: 'a1', priority: -3 });
    expect(found.findIndex((m) => m === byN(2))).toBeLessThan(found.findIndex((m) => m === byN(3)));
    const mail = found.find(({ kind }) => kind === 'email')!;
    expect(mail).toMatchObject({
      queue: 'email',
      tags: ['old'],
      payload: { subject: 's', to: [{ address: 'ann@b.test' }] },
    });
    const left = await database.db.executeSql<{ id: string }>('select id::text as id from carried.job');
    expect(left.rows).toEqual([{ id: running!.id }]);
    expect(await verifyOutbox(database.db)).toMatchObject({ ok: true, findings: [] });
  });

  it('leaves misfits, records nothing with strict or an incomplete map, and stops at a limit', async () => {
    const boss = await open('misfits');
    for (const queue of ['receipt', 'gone', 'unknown']) await boss.createQueue(queue);
    await boss.insert(
      'receipt',
      [...peers.numbers(25), { n: 'x' }, { text: 'no number' }].map((data) => ({ data })),
    );
    await boss.send('gone', {});
    await boss.send('unknown', { n: 1 });
    const source = here(pgBossTables('misfits'));
    const rows = { receipt, gone: { skip: 'the feature is gone' } };
    await expect(imported(source, rows)).rejects.toMatchObject({
      code: 'queues_unmapped',
      message: expect.stringContaining('unknown: 1 job\n') as string,
    });
    expect(await imported(source, rows, { skipUnmapped: true, strict: true })).toMatchObject({
      end: 'misfits',
      imported: 0,
    });
    expect(await imported(source, rows, { skipUnmapped: true, dryRun: true })).toMatchObject({
      imported: 25,
    });
    expect(await messages()).toEqual([]);
    const first = await imported(source, rows, { skipUnmapped: true, limit: 7 });
    expect(first).toMatchObject({ imported: 7, end: 'limit', left: 20 });
    const rest = await imported(source, rows, { skipUnmapped: true });
    expect(rest).toMatchObject({ imported: 18, end: 'done', left: 2, misfits: { count: 2 } });
    expect(rest.misfits.groups).toEqual([
      { queue: 'receipt', code: 'payload_invalid', paths: ['n: invalid_type'], count: 2 },
    ]);
    expect(await messages()).toHaveLength(25);
    const kept = await database.db.executeSql('select name from misfits.job order by name');
    expect(kept.rows.map(({ name }) => name)).toEqual(['gone', 'receipt', 'receipt', 'unknown']);
  });

  it('stops after a batch, and goes on where it was', async () => {
    const boss = await open('stopped');
    await peers.fillPgBoss(boss, 'receipt', 25);
    const source = here(pgBossTables('stopped'));
    const controller = new AbortController();
    const stopped = { signal: controller.signal, onProgress: () => controller.abort() };
    expect(await imported(source, { receipt }, stopped)).toMatchObject({
      end: 'stopped',
      imported: 10,
      left: 15,
    });
    expect(await imported(source, { receipt })).toMatchObject({ end: 'done', imported: 15, left: 0 });
    expect((await messages()).map(({ payload }) => payload)).toEqual(
      expect.arrayContaining(peers.numbers(25)),
    );
  });

  it('takes jobs that were given up only when it is asked to', async () => {
    const boss = await open('given_up');
    await boss.createQueue('receipt', { retryLimit: 0 });
    await boss.send('receipt', { n: 1 });
    const [job] = await boss.fetch('receipt');
    await boss.fail('receipt', job!.id);
    const source = here(pgBossTables('given_up'));
    expect(await imported(source, { receipt })).toMatchObject({ imported: 0 });
    expect(await imported(source, { receipt }, { failed: true })).toMatchObject({ imported: 1 });
    expect(await messages()).toMatchObject([{ payload: { n: 1 }, most: 1 }]);
  });

  it('knows its own wake-ups, another version, and a role that sees nothing', async () => {
    const boss = await open('versions');
    await boss.createQueue('jobs', { retentionSeconds: 365 * 86_400, retryLimit: 0 });
    await boss.send('jobs', { messages: 1 });
    expect((await here(pgBossTables('versions')).survey()).queues).toEqual([]);
    await database.db.executeSql('update versions.version set version = 44');
    await expect(here(pgBossTables('versions')).survey()).rejects.toMatchObject({
      code: 'source_unsupported',
    });
    await database.db.executeSql('update versions.version set version = 43');
    await expect(here(pgBossTables('none')).survey()).rejects.toMatchObject({ code: 'source_not_found' });
    await expect(here(graphileWorkerTables('versions')).survey()).rejects.toMatchObject({
      code: 'source_not_found',
    });
  });

  it('with its own key: another message with it keeps the job in pg-boss, and a second run knows its own', async () => {
    const boss = await open('own_keys');
    await boss.createQueue('receipt');
    const outbox = createPostgresOutbox(database.db);
    await outbox.enqueue({
      kind: 'job',
      name: 'receipt',
      queue: 'jobs',
      payload: { n: 0 },
      deliveryKey: 'order-1',
    });
    for (const n of [1, 2]) await boss.send('receipt', { n }, { singletonKey: `order-${n}` });
    const report = await imported(here(pgBossTables('own_keys')), { receipt: { ...receipt, key: 'own' } });
    expect(report).toMatchObject({
      imported: 1,
      left: 1,
      misfits: { groups: [{ code: 'delivery_key_taken' }] },
    });
    expect((await messages()).map(({ key }) => key)).toEqual(['order-1', 'order-2']);
  });
});

describe('graphile-worker', () => {
  it('carries due time, priority, attempts, key and queue; leaves what a worker holds', async () => {
    const graphile = await peers.startGraphileWorker(other.url);
    onTestFinished(() => graphile.end());
    await graphile.utils.addJob(
      'receipt',
      { n: 1 },
      { runAt: tomorrow, priority: -7, maxAttempts: 3, jobKey: 'k1' },
    );
    for (const n of [2, 3]) await graphile.utils.addJob('account', { n }, { queueName: 'a1' });
    await graphile.utils.addJob('receipt', { n: 4 });
    await other.db.executeSql(
      `update graphile_worker._private_jobs set locked_at = now(), locked_by = 'w' where payload ->> 'n' = '4'`,
    );
    const rows = { receipt: { ...receipt, key: 'own' }, account: { kind: 'job', name: 'account' } };
    const report = await imported(there(graphileWorkerTables()), rows);
    expect(report).toMatchObject({ imported: 3, left: 0, held: 0 });
    expect(report.queues.find(({ queue }) => queue === 'receipt')).toMatchObject({ inFlight: 1 });
    const found = await messages();
    expect(found.map(({ payload }) => payload)).toEqual([{ n: 2 }, { n: 3 }, { n: 1 }]);
    expect(found[2]).toMatchObject({ priority: 7, most: 3, key: 'k1' });
    expect(found[0]).toMatchObject({ order: 'a1', queue: 'accounts', most: 25 });
    const left = await other.db.executeSql<{ n: string }>(
      `select payload ->> 'n' as n from graphile_worker._private_jobs`,
    );
    expect(left.rows).toEqual([{ n: '4' }]);
  });

  it('is refused where row-level security hides its jobs', async () => {
    const graphile = await peers.startGraphileWorker(other.url, 'hidden');
    onTestFinished(() => graphile.end());
    await other.db.executeSql(`grant usage on schema hidden to pg_monitor`);
    await other.db.executeSql(`grant select on all tables in schema hidden to pg_monitor`);
    const asOther: typeof other.db = {
      ...other.db,
      executeSql: (text, values) =>
        other.db.transaction(async (tx) => {
          await tx.executeSql('set local role pg_monitor');
          return tx.executeSql(text, values);
        }),
    };
    const source = postgresSource(graphileWorkerTables('hidden'), { db: asOther, isHere: false });
    await expect(source.survey()).rejects.toMatchObject({ code: 'source_hidden' });
  });
});

/** A database whose transactions fail: before they commit, or after. */
function failing(when: 'before' | 'after'): typeof database.db {
  return {
    ...database.db,
    async transaction(body, ...rest) {
      if (when === 'after') await database.db.transaction(body, ...rest);
      throw new Error('the import dies');
    },
  };
}

const dies = [
  ['before', 3],
  ['after', 3],
] as const;

describe('an import from another database that dies', () => {
  it.each(dies)(
    '%s its messages are recorded holds the jobs, and the next one records each once',
    async (when, count) => {
      const schema = `dies_${when}`;
      const graphile = await peers.startGraphileWorker(other.url, schema);
      onTestFinished(() => graphile.end());
      await peers.fillGraphileWorker(graphile, 'receipt', count);
      const source = there(graphileWorkerTables(schema));
      await expect(imported(source, { receipt }, {}, failing(when))).rejects.toThrow('the import dies');
      expect(await messages()).toHaveLength(when === 'after' ? count : 0);
      const jobs = `select count(*)::int as n from ${schema}._private_jobs`;
      expect((await other.db.executeSql(jobs)).rows).toEqual([{ n: 0 }]); // no worker of the source can start them
      expect(await source.survey()).toMatchObject({ held: count });
      // What was recorded may have ended meanwhile, and the map may have changed.
      if (when === 'after') await database.db.executeSql(`select waybill.outbox_new_id()`);
      const report = await imported(source, {
        receipt: { kind: 'job', name: when === 'after' ? 'account' : 'receipt' },
      });
      expect(report).toMatchObject({
        held: 0,
        ...(when === 'after' ? { already: count } : { imported: count }),
      });
      expect((await messages()).map(({ payload }) => payload)).toEqual(peers.numbers(count));
    },
  );
});

if (!hasRedis)
  console.warn(
    "\n*****\n***** NOT TESTED: the import from BullMQ. Install Debian's package redis-server\n*****",
  );
describe.skipIf(!hasRedis)('BullMQ', () => {
  let redis: TestRedis;
  beforeAll(async () => void (redis = await startRedis()));
  afterAll(() => redis.end());
  async function open(name: string) {
    const queue = peers.openBullmqQueue(name, redis.port);
    const source = await bullmqSource(redis.url);
    onTestFinished(async () => {
      await source.close();
      await queue.obliterate({ force: true });
      await queue.close();
    });
    return { queue, source };
  }

  it('carries due time, priority, attempts and key; leaves schedulers, flows and what is skipped', async () => {
    const { queue, source } = await open('receipts');
    await queue.add('receipt', { n: 1 }, { attempts: 3 });
    await queue.add('receipt', { n: 2 }, { delay: 86_400_000, deduplication: { id: 'd2' } });
    await queue.add('receipt', { n: 3 }, { priority: 4 });
    await queue.add('receipt', { n: 4 }, { jobId: 'order-4', lifo: true });
    await queue.add('other', { n: 5 });
    await queue
      .add('child', { n: 6 }, { parent: { id: 'p', queue: queue.qualifiedName } })
      .catch(() => undefined);
    await queue.upsertJobScheduler(
      'nightly',
      { pattern: '0 3 * * *', tz: 'Europe/Berlin' },
      { name: 'tick' },
    );
    const rows = { 'receipts/other': { skip: 'gone' }, receipts: { ...receipt, key: 'own' } };
    const report = await imported(source, rows);
    expect(report).toMatchObject({
      version: 'bullmq:6.7.0',
      imported: 4,
      left: 0,
      held: 0,
      misfits: { count: 0 },
    });
    expect(report.schedules).toEqual([
      { name: 'receipts/nightly', schedule: '0 3 * * *', timeZone: 'Europe/Berlin' },
    ]);
    const found = await messages();
    const byN = (n: number) => found.find(({ payload }) => (payload as { n?: number }).n === n)!;
    expect(byN(1)).toMatchObject({ most: 3, priority: 0 });
    expect(byN(2)).toMatchObject({ key: 'd2', most: 1 });
    expect(Math.abs(Date.parse(byN(2).due) - tomorrow.getTime())).toBeLessThan(60_000);
    expect(byN(3)).toMatchObject({ priority: -4 });
    expect(byN(4)).toMatchObject({
      key: 'order-4',
      tags: [expect.stringMatching(/^import:bullmq:receipts:\d+-[0-9a-f]{16}:order-4$/)],
    });
    expect((await queue.getWaiting()).map(({ name }) => name)).toEqual(['other']);
    expect(await queue.getDeduplicationJobId('d2')).toBeNull(); // it is free again
    expect(await queue.getJob('order-4')).toBeUndefined();
    expect((await queue.getDelayed()).map(({ name }) => name)).toEqual(['tick']);
  });

  it('goes on from a paused queue, and from jobs with the number of an older one', async () => {
    const { queue, source } = await open('again');
    await peers.fillBullmq(queue, 'receipt', 25);
    await queue.pause();
    expect(await imported(source, { again: receipt })).toMatchObject({ imported: 25, left: 0 });
    await queue.obliterate({ force: true });
    await peers.fillBullmq(queue, 'receipt', 2); // the jobs 1 and 2 again
    expect(await imported(source, { again: receipt })).toMatchObject({ imported: 2, already: 0 });
  });

  it.each(dies)(
    'dies %s its messages are recorded: it holds the jobs, and the next one records each once',
    async (when, count) => {
      const name = `dies-${when}`;
      const { queue, source } = await open(name);
      await peers.fillBullmq(queue, 'receipt', count);
      const rows = { [name]: receipt };
      await expect(imported(source, rows, {}, failing(when))).rejects.toThrow('the import dies');
      expect(await queue.getWaitingCount()).toBe(0);
      expect(await source.survey()).toMatchObject({ held: count });
      const report = await imported(source, rows);
      expect(report).toMatchObject({
        held: 0,
        ...(when === 'after' ? { already: count } : { imported: count }),
      });
      expect((await messages()).map(({ payload }) => payload)).toEqual(
        expect.arrayContaining(peers.numbers(count)),
      );
      expect(await messages()).toHaveLength(count);
    },
  );

  it('leaves a job whose data changed while it was looked at', async () => {
    const { queue, source } = await open('changing');
    const job = await queue.add('receipt', { n: 1 });
    const queues = (await source.survey()).queues;
    const moved = await source.move(
      { queues, failed: false, after: undefined, limit: 10 },
      {
        async choose(jobs) {
          await job.updateData({ n: 2 });
          return jobs.map((one) => ({ job: one }));
        },
        record: async (chosen) => chosen.map((one) => one.job),
      },
    );
    expect(moved).toMatchObject({ read: 1, left: 0 });
    expect(await queue.getWaitingCount()).toBe(1);
  });
});

describe('the way out', () => {
  const exported = (receiver: Receiver, more: object = {}) =>
    exportMessages(database.db, receiver, {
      filter: {},
      removes: true,
      dryRun: false,
      open: false,
      takesSealed: false,
      payloadKeys,
      limit: undefined,
      batchSize: 10,
      signal: new AbortController().signal,
      onProgress: () => undefined,
      ...more,
    });
  const enqueue = (more: object) =>
    createPostgresOutbox(database.db, { payloadKeys }).enqueue({
      kind: 'job',
      name: 'receipt',
      queue: 'jobs',
      payload: { n: 1 },
      ...more,
    });
  async function intoPgBoss(schema: string, rows?: Readonly<Record<string, MapRow>>, dryRun = false) {
    const made: string[] = [];
    const receiver = await pgBossReceiver({
      db: database.db,
      schema,
      dryRun,
      by: 'by ann (cli)',
      map: rows && { queues: rows },
      onQueue: (name) => void made.push(name),
      onError: (error) => console.error(error),
    });
    onTestFinished(() => receiver.close());
    return { receiver, made };
  }

  it('pg-boss gets each message with its time, priority, attempts and keys; what does not fit there stays', async () => {
    const boss = await peers.startPgBoss(database.url, 'target');
    onTestFinished(() => boss.stop({ graceful: false }));
    await boss.createQueue('strict', { policy: 'key_strict_fifo' });
    await enqueue({ availableAt: tomorrow, priority: 7, maxAttempts: 5, deliveryKey: 'k', group: 'acme' });
    await enqueue({ name: 'account', queue: 'accounts', payload: { n: 2 }, orderKey: 'a1' });
    await enqueue({ payload: { n: 3 }, orderKey: 'a2' });
    await enqueue({ name: 'secret', payload: { token: 't' }, sensitive: true });
    await enqueue({ kind: 'action', name: 'tick', payload: {} });
    const rows = {
      receipts: { kind: 'job', name: 'receipt', key: 'id', attempts: 'source', rename: { number: 'n' } },
      strict: { kind: 'job', name: 'account', key: 'id', attempts: 'source' },
      secrets: { kind: 'job', name: 'secret', key: 'id', attempts: 'source' },
    } as const;
    const dry = await intoPgBoss('target', rows, true);
    const stayed = { order_key: 1, sealed: 1, no_queue: 1 };
    expect(await exported(dry.receiver, { dryRun: true })).toMatchObject({ exported: 2, stayed });
    expect(await boss.findJobs('strict')).toEqual([]);

    const { receiver, made } = await intoPgBoss('target', rows);
    expect(await exported(receiver)).toMatchObject({ matched: 5, exported: 2, stayed });
    expect(made).toEqual(['receipts']);
    const [job] = await boss.findJobs('receipts');
    expect(job).toMatchObject({
      data: { number: 1 },
      priority: 7,
      retryLimit: 4,
      singletonKey: 'k',
      groupId: 'acme',
    });
    expect(Math.abs(new Date(job!.startAfter).getTime() - tomorrow.getTime())).toBeLessThan(1_000);
    expect(await boss.findJobs('strict')).toMatchObject([{ data: { n: 2 }, singletonKey: 'a1' }]);
    const notes = `select m.status, n.detail from waybill.outbox_notes n join waybill.outbox_messages m on m.id = n.message_id where n.type = 'exported'`;
    const noted = (await database.db.executeSql<{ status: string; detail: string }>(notes)).rows;
    expect(noted).toHaveLength(2);
    expect(noted[0]).toEqual({
      status: 'cancelled',
      detail: expect.stringMatching(/^to pg-boss: job \S+ of the queue \S+ in target, by ann/) as string,
    });
    expect(await exported(receiver, { open: true })).toMatchObject({ exported: 1 });
    expect(await boss.findJobs('secrets')).toMatchObject([{ data: { token: 't' } }]);
    expect(await verifyOutbox(database.db)).toMatchObject({ ok: true, findings: [] });
  });

  it('a message is at one side only when the export dies', async () => {
    const boss = await peers.startPgBoss(database.url, 'dying');
    onTestFinished(() => boss.stop({ graceful: false }));
    await enqueue({});
    const { receiver } = await intoPgBoss('dying');
    const dying: Receiver = {
      async take(given, tx) {
        await receiver.take(given, tx);
        throw new Error('the export dies');
      },
    };
    await expect(exported(dying)).rejects.toThrow('the export dies');
    expect(await boss.findJobs('receipt')).toEqual([]);
    expect(await messages()).toHaveLength(1);
    await expect(
      exportMessages(database.db, receiver, { filter: { status: ['dead'] } } as never),
    ).rejects.toMatchObject({
      code: 'invalid_status',
    });
  });

  it('lines of JSON hold all of a message, and are imported again, each once; half a line is cut off', async () => {
    const path = join(folder, 'lines.ndjson');
    const write = async (appends: boolean): Promise<void> => {
      const file = openLineFile(path, appends);
      const receiver = streamReceiver((text) => file.write(text), 'by ann (cli)');
      expect(await exported(receiver, { takesSealed: true })).toMatchObject({ exported: 1, stayed: {} });
      file.close(true);
    };
    await enqueue({
      payload: { n: 1, text: '\u2028 ä' },
      tags: ['t'],
      group: 'g',
      orderKey: 'o',
      deliveryKey: 'k',
      priority: 3,
    });
    const before = await messages();
    await write(false);
    expect(() => openLineFile(path, false)).toThrow(
      expect.objectContaining({ code: 'export_file_exists' }) as Error,
    );
    writeFileSync(path, '{"waybill":1,"id":"cut', { flag: 'a' });
    await enqueue({ name: 'secret', payload: { token: 't' }, sensitive: true });
    await write(true);
    const lines = readFileSync(path, 'utf8').trim().split('\n');
    expect(lines).toHaveLength(2);
    expect(lines[1]).toContain('$sealed');
    expect(lines[1]).not.toContain('"t"');

    const rows = { 'job/receipt': { ...receipt, key: 'own' }, 'job/secret': { kind: 'job', name: 'secret' } };
    const report = await imported(ndjsonSource(path), rows);
    expect(report).toMatchObject({ imported: 1, misfits: { groups: [{ queue: 'job/secret' }] } });
    expect(await messages()).toEqual(before);
    expect(await imported(ndjsonSource(path), rows)).toMatchObject({ imported: 0, already: 1 });
    writeFileSync(path, '{"waybill":1}\n');
    await expect(ndjsonSource(path).survey()).rejects.toMatchObject({ code: 'invalid_line' });
  });
});

describe('a map', () => {
  it.each<[string, object | string, RegExp]>([
    ['no JSON', '{', /is no JSON/],
    ['no queues', {}, /queues: /],
    ['a row that is neither', { queues: { a: {} } }, /queues\.a\.kind/],
    ['an unknown field', { queues: { a: { ...receipt, renam: {} } } }, /queues\.a: .*renam/],
    [
      'an unknown job',
      { queues: { a: { kind: 'job', name: 'recipt' } } },
      /no job recipt, was receipt meant\?/,
    ],
    ['no name', { queues: { a: { kind: 'event' } } }, /needs a name/],
    ['an empty reason', { queues: { a: { skip: '' } } }, /queues\.a/],
    [
      'a queue that is there twice',
      '{"queues":{"a":{"skip":"x"},"b":{"skip":"x"},"a":{"skip":"y"}}}',
      /a: it is there twice/,
    ],
    [
      'tags that leave no room for the one of its own key',
      { queues: { a: { ...receipt, key: 'own', tags: Array.from({ length: 20 }, (_, i) => `t${i}`) } } },
      /at most 19 tags/,
    ],
    ['bad tags', { queues: { a: { ...receipt, tags: [''] } } }, /at most 20/],
  ])('with %s is refused, and says where', (_, content, message) => {
    const path = join(folder, 'bad.json');
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
    expect(() => readImportMap(path, registry)).toThrow(message);
  });
});
