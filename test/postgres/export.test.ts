// What comes out of an export and goes back in: a message is the same elsewhere, keeps the order of its key, and is recorded once. Real: Postgres and
// pg-boss. Doubled: nothing.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import {
  defineAction,
  defineEndpoint,
  defineEvent,
  defineJob,
  defineListener,
  defineOutboxRegistry,
} from '../../src/index.ts';
import { emailMessage } from '../../src/define/messages.ts';
import type { NewMessage } from '../../src/message/message.ts';
import { parsePayloadKeys, type PayloadKeys } from '../../src/message/seal.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { exportMessages, type ExportReport, type Receiver } from '../../src/transfer/export.ts';
import { importJobs, type ImportOptions, type ImportReport } from '../../src/transfer/import.ts';
import type { ImportMap } from '../../src/transfer/import-map.ts';
import { hasTwins, pgBossReceiver } from '../../src/transfer/into-pg-boss.ts';
import { openLineFile, streamReceiver } from '../../src/transfer/ndjson-file.ts';
import { lineMap, ndjsonSource } from '../../src/transfer/ndjson.ts';
import { pgBossTables } from '../../src/transfer/pg-boss.ts';
import { postgresSource } from '../../src/transfer/postgres-source.ts';
import type { Source } from '../../src/transfer/source.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import * as peers from '../support/peers.ts';

const any = z.unknown();
const placed = defineEvent({ name: 'order.placed', payload: z.object({ orderId: z.int() }) });
const job = (name: string, more: object = {}) =>
  defineJob({ name, payload: any, async handler() {}, ...more });
const registry = defineOutboxRegistry({
  jobs: [job('any'), job('skips', { onDead: 'skip' }), job('secret', { sensitive: true }), job('ns:thing')],
  events: [placed],
  listeners: [defineListener({ name: 'order.placed/mail', event: placed, async handler() {} })],
  actions: [
    defineAction({ name: 'tidy', args: z.object({ days: z.int() }), access: 'system', async handler() {} }),
  ],
  endpoints: [
    defineEndpoint({
      name: 'shop',
      payload: any,
      url: 'https://shop.example/hook',
      secrets: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
    }),
  ],
});
const payloadKeys = parsePayloadKeys(`k1:${Buffer.alloc(32, 1).toString('base64')}`) as PayloadKeys;
const due = new Date('2030-05-05T05:05:05.678Z');

let here: TestDatabase;
let there: TestDatabase;
const folder = mkdtempSync(join(tmpdir(), 'waybill-export-'));
beforeAll(async () => {
  here = await testDatabase();
  there = await testDatabase();
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await here.end();
  await there.end();
});
beforeEach(async () => {
  for (const { db } of [here, there])
    await db.executeSql(
      'truncate waybill.outbox_messages, waybill.outbox_keys, waybill.outbox_audit cascade',
    );
});

const enqueue = (...messages: readonly Partial<NewMessage>[]) =>
  createPostgresOutbox(here.db, { payloadKeys }).enqueue(
    messages.map((one): NewMessage => ({
      kind: 'job',
      name: 'any',
      queue: 'jobs',
      payload: { n: 1 },
      ...one,
    })),
  );

const base = {
  limit: undefined,
  batchSize: 2,
  signal: new AbortController().signal,
  onProgress: () => undefined,
};

const exported = (receiver: Receiver, more: object = {}): Promise<ExportReport> =>
  exportMessages(here.db, receiver, {
    filter: {},
    removes: false,
    dryRun: false,
    open: true,
    takesSealed: true,
    payloadKeys,
    ...base,
    ...more,
  });

let files = 0;
async function toFile(more: object = {}): Promise<string> {
  const path = join(folder, `${(files += 1)}.ndjson`);
  const { write, close } = openLineFile(path, false);
  await exported(streamReceiver(write, 'by ann (cli)'), more);
  close(true);
  return path;
}

async function imported(
  source: Source,
  { db }: TestDatabase,
  options: Partial<ImportOptions> & { readonly map?: ImportMap } = {},
): Promise<ImportReport> {
  const map = options.map ?? lineMap(await source.survey());
  return importJobs(
    source,
    { source: source.name, map, registry, maxPayloadBytes: 262_144, emailFrom: null },
    { source: source.name, db, maxPayloadBytes: 262_144, payloadKeys },
    { dryRun: false, strict: false, skipUnmapped: false, failed: false, ...base, ...options },
  );
}

/** Messages that wait, with all that an export carries. */
async function waiting({ db }: TestDatabase): Promise<Record<string, unknown>[]> {
  const sql = `
    select kind, name, queue, case when payload ? '$sealed' then '"sealed"' else payload end as payload, priority, max_attempts - attempts as left,
           to_json(date_trunc('milliseconds', coalesce(order_due, available_at))) #>> '{}' as due, delivery_key as key, tags, group_key as "group",
           order_key as "order", order_skips as skips, request_id as request
      from waybill.outbox_messages where status in ('pending', 'failed') order by order_position nulls first, id`;
  return (await db.executeSql(sql)).rows;
}
const payloads = async (database: TestDatabase): Promise<unknown[]> =>
  (await waiting(database)).map(({ payload }) => payload);

describe('lines of JSON', () => {
  const email = emailMessage(
    { to: 'ann@b.test', subject: 's', text: 't', availableAt: due },
    { from: 'shop@a.test' },
  );
  it.each<[string, Partial<NewMessage>]>([
    ['a job', {}],
    ['text and a time', { payload: { text: '\u2028ü😀' }, availableAt: due, priority: 7, maxAttempts: 5 }],
    [
      'a delivery key, 20 tags and a group',
      { deliveryKey: 'k', tags: Array.from({ length: 20 }, (_, i) => `t${i}`), group: 'g' },
    ],
    ['another queue and a request id', { queue: 'slow', requestId: 'req-9' }],
    ['an order key that blocks', { name: 'skips', orderKey: 'o', onDead: 'block' }],
    ['an order key that is skipped', { orderKey: 'o', onDead: 'skip', availableAt: due }],
    ['a sensitive job', { name: 'secret', payload: { token: 't' }, sensitive: true }],
    ['an event', { kind: 'event', name: 'order.placed', queue: 'events', payload: { orderId: 4 } }],
    ['a listener', { kind: 'listener', name: 'order.placed/mail', queue: 'events', payload: { orderId: 4 } }],
    ['an action', { kind: 'action', name: 'tidy', payload: { days: 3 } }],
    ['a webhook', { name: 'webhook:shop', queue: 'webhooks', payload: { to: null, body: { a: 1 } } }],
    ['an email with a date', email],
    [
      'an email without',
      { ...email, availableAt: undefined, payload: { ...(email.payload as object), date: undefined } },
    ],
    ['a sensitive email', { ...email, sensitive: true, keep: false, queue: 'later' }],
  ])('carry %s to another database as it was', async (_, message) => {
    const [recorded] = await enqueue(message);
    const report = await imported(ndjsonSource(await toFile()), there);
    expect(report).toMatchObject({ imported: 1, left: 0, misfits: { count: 0 } });
    const [before] = await waiting(here);
    const key = before!['key'] ?? `import:ndjson:${message.kind ?? 'job'}:${recorded!.id}`;
    expect(await waiting(there)).toEqual([{ ...before, key }]);
    expect(await verifyOutbox(there.db)).toMatchObject({ ok: true, findings: [] });
  });

  it('keep a number that JavaScript cannot hold, and an import leaves it where it is', async () => {
    await here.db.executeSql(`select waybill.enqueue('job', 'any', '{"id": 9007199254740993}')`);
    const path = await toFile();
    expect(readFileSync(path, 'utf8')).toContain('"payload":{"id":9007199254740993}');
    expect(await imported(ndjsonSource(path), there)).toMatchObject({
      imported: 0,
      misfits: { groups: [{ code: 'number_not_exact', paths: ['id'] }] },
    });
  });

  it('K: keep the order of each key, which is that of the commits and not that of the ids', async () => {
    await enqueueCrossed();
    expect(await payloads(here)).toEqual(['free', 'b1', 'a1', 'a2', 'a3']);
    await imported(ndjsonSource(await toFile()), there);
    expect(await payloads(there)).toEqual(['free', 'b1', 'a1', 'a2', 'a3']);
  });

  it('hold misfits with their reason: a definition that is not there, a sealed payload', async () => {
    await enqueue({ name: 'gone' }, { name: 'secret', sensitive: true });
    const path = await toFile({ open: false });
    const { imported: count, misfits, left } = await imported(ndjsonSource(path), there);
    expect({ count, left, codes: misfits.groups.map(({ code }) => code).toSorted() }).toEqual({
      count: 0,
      left: 2,
      codes: ['payload_sealed', 'unknown_definition'],
    });
  });

  it('are recorded by and by with a limit, and each once', async () => {
    await enqueue(...peers.numbers(5).map((payload) => ({ payload })));
    const path = await toFile();
    const runs: object[] = [];
    for (let i = 0; i < 3; i++) {
      const { imported: count, already, left, end } = await imported(ndjsonSource(path), there, { limit: 2 });
      runs.push({ count, already, left, end });
    }
    expect(runs).toEqual([
      { count: 2, already: 0, left: 3, end: 'limit' },
      { count: 2, already: 2, left: 1, end: 'limit' },
      { count: 1, already: 4, left: 0, end: 'done' },
    ]);
    expect(await payloads(there)).toEqual(peers.numbers(5));
  });

  it('that are in a file twice are recorded once, with a delivery key too', async () => {
    await enqueue({}, { deliveryKey: 'k' });
    const path = await toFile();
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text + text);
    for (const batchSize of [10, 1]) {
      await there.db.executeSql(
        'truncate waybill.outbox_messages, waybill.outbox_keys, waybill.outbox_audit cascade',
      );
      expect(await imported(ndjsonSource(path), there, { batchSize })).toMatchObject({
        imported: 2,
        already: 2,
        left: 0,
        misfits: { count: 0 },
      });
    }
  });
});

/** Two transactions record at the same time: the one that began first commits last, and so the ids and the places of the key `a` differ. */
async function enqueueCrossed(): Promise<void> {
  const message = (payload: string, orderKey: string): NewMessage => {
    return { kind: 'job', name: 'any', queue: 'jobs', payload, orderKey };
  };
  await enqueue({ payload: 'free' });
  await here.db.transaction(async (late) => {
    await createPostgresOutbox(late).enqueue(message('a2', 'a'));
    await here.db.transaction(async (early) => {
      await createPostgresOutbox(early).enqueue(message('b1', 'b'));
      await createPostgresOutbox(early).enqueue(message('a1', 'a'));
    });
    await createPostgresOutbox(late).enqueue(message('a3', 'a'));
  });
}

describe('a file that is imported again', () => {
  const cases = [
    ['without a delivery key', {}],
    ['with a delivery key', { deliveryKey: 'k' }],
  ] as const;
  const end = async ({ db }: TestDatabase, how: 'cancelled' | 'dead' | 'delivered'): Promise<void> => {
    const { dead, delivered, cancelled } = {
      dead: `dead_at = now(), dead_cause = 'failed'`,
      delivered: `delivered_at = now()`,
      cancelled: `cancelled_at = now()`,
    };
    const set = { dead, delivered, cancelled }[how];
    await db.executeSql(
      `update waybill.outbox_messages set status = '${how}', ${set} where status = 'pending'`,
    );
  };

  it.each(cases)('%s brings back what its export removed, once', async (_, more) => {
    await enqueue(more);
    const path = await toFile({ removes: true });
    expect(await waiting(here)).toEqual([]);
    expect(await imported(ndjsonSource(path), here)).toMatchObject({ imported: 1, already: 0 });
    expect(await imported(ndjsonSource(path), here)).toMatchObject({ imported: 0, already: 1, left: 0 });
    expect(await waiting(here)).toHaveLength(1);
    const again = await toFile({ removes: true });
    expect(await imported(ndjsonSource(again), here)).toMatchObject({ imported: 1, already: 0 });
    expect(await waiting(here)).toHaveLength(1);
  });

  describe.each(cases)('%s', (_, more) => {
    it.each(['cancelled', 'dead', 'delivered'] as const)(
      'does not bring back what was %s since, here or elsewhere',
      async (how) => {
        await enqueue(more);
        const path = await toFile();
        for (const database of [here, there]) {
          if (database === there) await imported(ndjsonSource(path), there);
          expect(await imported(ndjsonSource(path), database)).toMatchObject({ imported: 0, already: 1 });
          await end(database, how);
          expect(await imported(ndjsonSource(path), database)).toMatchObject({ imported: 0, already: 1 });
          expect(await waiting(database)).toEqual([]);
        }
      },
    );
  });

  it('does not bring back a message that went to pg-boss', async () => {
    const boss = await peers.startPgBoss(here.url, 'copied');
    onTestFinished(() => boss.stop({ graceful: false }));
    await enqueue({});
    const path = await toFile();
    await exported(await receiverOf('copied'), { removes: true });
    expect(await imported(ndjsonSource(path), here)).toMatchObject({ imported: 0, already: 1 });
  });

  it('counts a key that another message has as a misfit', async () => {
    await enqueue({ deliveryKey: 'k' });
    const path = await toFile();
    const outbox = createPostgresOutbox(there.db);
    await outbox.enqueue({ kind: 'job', name: 'any', queue: 'jobs', payload: {}, deliveryKey: 'k' });
    expect(await imported(ndjsonSource(path), there)).toMatchObject({
      imported: 0,
      misfits: { groups: [{ code: 'delivery_key_taken' }] },
    });
  });
});

async function receiverOf(schema: string, map?: ImportMap, dryRun = false): Promise<Receiver> {
  const receiver = await pgBossReceiver({
    db: here.db,
    schema,
    dryRun,
    map,
    by: 'by ann (cli)',
    onQueue: () => undefined,
    onError: (error) => console.error(error),
  });
  onTestFinished(() => receiver.close());
  return receiver;
}

describe('an export', () => {
  const counting = (): { readonly receiver: Receiver; readonly batches: number[] } => {
    const batches: number[] = [];
    return {
      batches,
      receiver: {
        async take(messages) {
          batches.push(messages.length);
          return messages.map(({ id }) => ({ id, note: 'elsewhere' }));
        },
      },
    };
  };

  it('makes its batches smaller where payloads are large', async () => {
    const text = 'x'.repeat(200_000);
    await enqueue(...peers.numbers(45).map((payload) => ({ payload: { ...payload, text } })));
    const { receiver, batches } = counting();
    expect(await exported(receiver, { batchSize: 500 })).toMatchObject({ exported: 45 });
    expect(batches).toEqual([41, 4]); // 8 MB
    const few = counting();
    await exported(few.receiver, { batchSize: 500, limit: 42 });
    expect(few.batches).toEqual([41, 1]);
  });

  it('leaves a message whose payload cannot be opened, and goes on with the others', async () => {
    const one = { name: 'secret', sensitive: true };
    const others = parsePayloadKeys(`k2:${Buffer.alloc(32, 2).toString('base64')}`) as PayloadKeys;
    await createPostgresOutbox(here.db, { payloadKeys: others }).enqueue(
      [1, 2].map((payload): NewMessage => ({ ...one, kind: 'job', queue: 'jobs', payload })),
    );
    await enqueue({ ...one, payload: 3 }, { ...one, payload: 4 });
    const sql = `update waybill.outbox_messages set payload = jsonb_set(payload, '{$sealed,data}', '"AAAA"')
      where id = (select id from waybill.outbox_messages order by id desc limit 1)`;
    await here.db.executeSql(sql);
    const { receiver, batches } = counting();
    expect(await exported(receiver, { removes: true, batchSize: 1 })).toMatchObject({
      exported: 1,
      stayed: { payload_key_missing: 2, payload_unreadable: 1 },
    });
    expect(batches).toEqual([1]);
    expect(await waiting(here)).toHaveLength(3);
  });
});

describe('jobs of pg-boss', () => {
  const row = { kind: 'job', name: 'any', key: 'id', attempts: 'source' } as const;
  async function open(schema: string) {
    const boss = await peers.startPgBoss(here.url, schema);
    onTestFinished(() => boss.stop({ graceful: false }));
    return boss;
  }
  const jobsIn = async (schema: string): Promise<Record<string, unknown>[]> => {
    const sql = `select id::text, name, data, singleton_key as key, priority, retry_limit as retries from ${schema}.job order by name, id`;
    return (await here.db.executeSql(sql)).rows;
  };

  it('K: run in the order of their key', async () => {
    const boss = await open('ordered');
    await boss.createQueue('any', { policy: 'key_strict_fifo' });
    await enqueueCrossed();
    const report = await exported(await receiverOf('ordered'), { removes: true, batchSize: 10 });
    expect(report).toMatchObject({ exported: 4, stayed: { no_order_key: 1 } });
    const run: unknown[] = [];
    for (let i = 0; i < 4; i++) {
      const [one] = await boss.fetch('any');
      run.push(one!.data);
      await boss.complete('any', one!.id);
    }
    expect(run.filter((name) => name !== 'b1')).toEqual(['a1', 'a2', 'a3']);
  });

  it('have a queue that pg-boss accepts; the others stay, and a dry run makes no queue', async () => {
    const boss = await open('named');
    await enqueue({ name: 'ns:thing' }, {}, { orderKey: 'o', name: 'skips' });
    const stayed = { queue_name: 1, order_key: 1 };
    const dry = await receiverOf('named', undefined, true);
    expect(await exported(dry, { removes: true, dryRun: true })).toMatchObject({ exported: 1, stayed });
    expect(await boss.getQueues()).toEqual([]);
    expect(await exported(await receiverOf('named'), { removes: true })).toMatchObject({
      exported: 1,
      stayed,
    });
    expect((await boss.getQueues()).map(({ name }) => name)).toEqual(['any']);
  });

  it('come back with their keys and into their queues, although two queues became one job', async () => {
    const boss = await open('returned');
    await boss.createQueue('short', { policy: 'short' });
    await boss.createQueue('plain');
    for (const k of ['a', 'b']) await boss.send('short', { k }, { singletonKey: k });
    await boss.send('plain', { k: 'own' }, { singletonKey: 'own' });
    await boss.send('plain', { k: 'none' }, { priority: 3, retryLimit: 7 });
    const before = await jobsIn('returned');
    const source = postgresSource(pgBossTables('returned'), { db: here.db, isHere: true });
    for (const key of ['id', 'own'] as const) {
      const map = { queues: { short: row, plain: { ...row, key } } };
      expect(await imported(source, here, { map })).toMatchObject({ imported: 4 });
      expect(await jobsIn('returned')).toEqual([]);
      expect(await exported(await receiverOf('returned', map), { removes: true })).toMatchObject({
        exported: 4,
        stayed: {},
      });
      expect(await jobsIn('returned')).toEqual(before);
    }
  });

  it.each<[string, Record<string, string>, object]>([
    ['two fields would have one name', { a: 'b' }, { b: 1, a: 2 }],
    ['one field has two old names', { order_id: 'orderId', oid: 'orderId' }, { orderId: 1 }],
  ])('are not made where %s', async (_, rename, payload) => {
    const schema = `rename_${Object.keys(rename).length}`;
    await open(schema);
    await enqueue({ payload }, { payload: { c: 3 } });
    const receiver = await receiverOf(schema, { queues: { any: { ...row, rename } } });
    expect(await exported(receiver, { removes: true })).toMatchObject({
      exported: 1,
      stayed: { rename_taken: 1 },
    });
    expect(await payloads(here)).toEqual([payload]);
    expect(await jobsIn(schema)).toMatchObject([{ data: { c: 3 } }]);
  });

  it('keep a number that JavaScript cannot hold', async () => {
    await open('numbers');
    await here.db.executeSql(`select waybill.enqueue('job', 'any', '{"id": 9007199254740993}')`);
    await exported(await receiverOf('numbers'), { removes: true });
    const sql = `select data::text as data from numbers.job`;
    expect((await here.db.executeSql(sql)).rows).toEqual([{ data: '{"id": 9007199254740993}' }]);
  });

  it('are made in a schema with capitals, and in no other version of the schema', async () => {
    await open('"Mixed"');
    await enqueue({});
    await here.db.executeSql('update "Mixed".version set version = 42');
    await expect(receiverOf('Mixed')).rejects.toMatchObject({
      code: 'source_unsupported',
      message: expect.stringMatching(/schema 43.*is 42.*ndjson/) as string,
    });
    await here.db.executeSql('update "Mixed".version set version = 43');
    expect(await exported(await receiverOf('Mixed'), { removes: true })).toMatchObject({ exported: 1 });
    expect(await jobsIn('"Mixed"')).toMatchObject([{ data: { n: 1 } }]);
  });

  it('are refused where two rows fit a message that does not say its queue', async () => {
    await open('twins');
    const map = { queues: { x1: row, x2: row, x3: { ...row, name: 'skips' } } };
    expect([hasTwins(map), hasTwins({ queues: { x1: row, x3: map.queues.x3 } })]).toEqual([true, false]);
    await enqueue({});
    await expect(exported(await receiverOf('twins', map), { removes: true })).rejects.toMatchObject({
      code: 'import_map_ambiguous',
      message: expect.stringMatching(/job any.*x1, x2/) as string,
    });
    expect(await waiting(here)).toHaveLength(1);
  });
});
