// The page Now and the figures behind it. Real: Postgres and the web server. Doubled: the processes, the minutes and the deploys, which are rows.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createKept } from '../../src/console/kept.ts';
import { defineApp } from '../../src/index.ts';
import { readLatency } from '../../src/operate/latency.ts';
import { readSeries, takeMinute } from '../../src/operate/series.ts';
import { readTroubles, troublesSql } from '../../src/operate/troubles.ts';
import { runningSql } from '../../src/operate/running.ts';
import { listDeploys, noteDeploy } from '../../src/process/deploys.ts';
import { beat } from '../../src/process/heartbeat.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { idle } from '../support/counts.ts';
import { atConsole, type Person } from '../support/console.ts';
import { seed } from '../support/console-seed.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testWeb, type TestWeb } from '../support/web.ts';

let database: TestDatabase;
let web: TestWeb;
let ann: Person;
beforeAll(async () => {
  database = await testDatabase();
  await seed(database.db);
  web = testWeb(defineApp({}), database.url);
  ann = await atConsole(web);
});
afterAll(async () => {
  await web.end();
  await database.end();
});

it('the page has the sentence, the share of first attempts, the dead of a day, p95, deploys as marks, and pause for all', async () => {
  const { body } = await ann.open('/console');
  expect(body).toMatch(/<strong>[45] messages died in the last 15 minutes/);
  expect(body).toMatch(/First-attempt success<\/small><b>9[67]\.?\d?<em>%/);
  expect(body).toMatch(/Dead in 24 h<\/small><b>[45]<em>/);
  expect(body).toMatch(/95 of 100 deliveries took at most this long, from claim to end; of the newest 1"/);
  expect(body.match(/class="deploy"/g)!.length).toBeGreaterThanOrEqual(4);
  expect(body).toMatch(/Began in this hour: <bdi>v214<\/bdi> <time/);
  expect(body).toContain('action="/console/queues/pause"');
  expect(body).toContain('waybill series');
});

describe('the figures', () => {
  it('p95 is that of the newest deliveries by queue, and of those before a backlog', async () => {
    const { db } = database;
    await db.executeSql(
      `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, status, attempts, relayed_at, delivered_at, ends, revision)
       select (lpad(to_hex((extract(epoch from now() - interval '1 hour') * 1000)::bigint + i), 12, '0') || '70008' || lpad(to_hex(i), 15, '0'))::uuid,
              'job', 'n', 'slow', '{}', 3, 'delivered', 1, now() - i * interval '1 second', now(), 1, 0 from generate_series(1, 100) i`,
    );
    const [slow] = (await readLatency(db, null, Date.now())).filter(({ queue }) => queue === 'slow');
    expect(slow).toEqual({ queue: 'slow', p95: 95, deliveries: 100 });
    await db.executeSql(
      `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, revision)
       select (lpad(to_hex((extract(epoch from now() - interval '10 minutes') * 1000)::bigint + i), 12, '0') || '70008' || lpad(to_hex(i), 15, '0'))::uuid,
              'job', 'n', 'slow', '{}', 3, 0 from generate_series(1, 2100) i`,
    );
    const behind = await readLatency(db, 600, Date.now());
    expect(behind.find(({ queue }) => queue === 'slow')?.deliveries).toBe(100);
    await db.executeSql(`delete from waybill.outbox_messages where queue = 'slow'`);
  });

  it('first attempts are counted apart by their end, in the minute that has ended', async () => {
    const { db } = database;
    const outbox = createPostgresOutbox(db);
    await takeMinute(db);
    for (const table of ['series', 'series_minutes'])
      await db.executeSql(`update waybill.${table} set at = at - interval '3 hours'`);
    const ids = await outbox.enqueue(
      [1, 2, 3].map(() => ({ kind: 'job', name: 'n', queue: 'events', payload: {} }) as const),
    );
    for (const [i, { id }] of ids.entries()) {
      const claim = async () =>
        (await outbox.claimBatch({ limit: 1, leaseMs: 60_000, workerId: 'w', ids: [id] }))[0]!;
      const one = await claim();
      if (i === 0) await outbox.markDelivered(one.id, one.claimToken);
      else await outbox.markFailed(one.id, one.claimToken, 'no', { delayMs: 0 });
      if (i !== 2) continue;
      const again = await claim();
      await outbox.markDelivered(again.id, again.claimToken);
    }
    await takeMinute(db);
    const { series } = await readSeries(db, '1h');
    const sums = series
      .filter(({ queue }) => queue === 'events')
      .map(({ name, values }) => [name, values.reduce<number>((sum, n) => sum + (n ?? 0), 0)]);
    expect(Object.fromEntries(sums)).toEqual({
      delivered: 2,
      retried: 2,
      first_delivered: 1,
      first_failed: 2,
    });
  });

  it('a deploy is noted once, when its version begins that no process has', async () => {
    const { db } = database;
    const begins = async (application: string): Promise<void> =>
      noteDeploy(db, { version: '1', application });
    await Promise.all([begins('a'), begins('a')]);
    await beat(db, { id: 'p', role: 'web', host: 'h', pid: 1, version: '1', application: 'a' }, idle);
    await db.executeSql(`update waybill.deploys set at = at - interval '2 hours'`);
    await begins('a'); // beside the process that is alive
    await begins('b');
    await db.executeSql(
      `update waybill.processes set heartbeat_at = now() - interval '5 minutes' where id = 'p'`,
    );
    await begins('a'); // a way back
    const found = (await listDeploys(db)).filter(({ version }) => version === '1');
    expect(found.map(({ application }) => application)).toEqual(['a', 'b', 'a']);
  });

  it('troubles leave out refused recipients, and know overdue jobs and blocked keys', async () => {
    const { db } = database;
    const before = await readTroubles(db);
    await db.executeSql(
      `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, status, dead_at, dead_cause, order_key, order_due, ends, revision)
       values (gen_random_uuid(), 'job', 'n', 'jobs', '{}', 3, 'dead', now(), 'recipient', 'k', now(), 1, 0)`,
    );
    await db.executeSql(
      `insert into waybill.cron_jobs (name, manifest, definition, cursor_at, next_at) values ('late', 'h', '{}', now(), now() - interval '5 minutes')`,
    );
    const after = await readTroubles(db);
    expect([after.deadInDay - before.deadInDay, after.deadLately - before.deadLately]).toEqual([1, 0]);
    expect(after.blocked).toEqual([{ queue: 'jobs', keys: 1 }]);
    expect(after.overdue).toEqual([{ name: 'late', seconds: expect.closeTo(300, -1) as number }]);
  });
});

it('what is kept is read again after its time, and a failure is not kept', async () => {
  let time = 0;
  const kept = createKept({ now: () => time });
  let reads = 0;
  const read = async () => ++reads;
  expect([await kept('a', 10, read), await kept('a', 10, read), await kept('b', 10, read)]).toEqual([
    1, 1, 2,
  ]);
  time = 10;
  expect(await kept('a', 10, read)).toBe(3);
  await expect(kept('c', 10, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await kept('c', 10, read)).toBe(4);
});

describe('on 100,000 messages, mostly delivered, with stale statistics', () => {
  type Node = {
    readonly 'Relation Name'?: string;
    readonly 'Node Type': string;
    readonly 'Index Name'?: string;
    readonly 'Actual Rows': number;
    readonly 'Actual Loops': number;
    readonly Plans?: readonly Node[];
  };
  const all = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(all)];
  beforeAll(async () => {
    await database.fill(
      'alter table waybill.outbox_messages set (autovacuum_enabled = off)',
      'analyze waybill.outbox_messages',
      `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, status, attempts, relayed_at, delivered_at, dead_at, ends, revision)
       select (lpad(to_hex(1700000000000 + i), 12, '0') || '70008' || lpad(to_hex(i), 15, '0'))::uuid, 'job', 'n', 'q', '{}', 5, s, 1, now(),
              case when s = 'delivered' then now() end, case when s = 'dead' then now() end, 1, 0
         from generate_series(1, 100000) i, lateral (select case when i % 100 = 0 then 'dead' else 'delivered' end as s) x`,
    );
  });

  it.each([
    ['troubles', troublesSql, [], 3_000],
    ['running', runningSql, [100], 200],
  ] as const)('%s reads a bounded number of rows through indexes', async (_, sql, values, most) => {
    const { rows } = await database.db.executeSql<{ 'QUERY PLAN': [{ Plan: Node }] }>(
      `explain (analyze, timing off, format json) ${sql}`,
      [...values],
    );
    const reads = all(rows[0]!['QUERY PLAN'][0].Plan).filter(
      (node) => node['Relation Name'] === 'outbox_messages',
    );
    expect(reads.map((node) => node['Node Type'])).not.toContain('Seq Scan');
    expect(reads.reduce((sum, node) => sum + node['Actual Rows'] * node['Actual Loops'], 0)).toBeLessThan(
      most,
    );
  });

  it('p95 reads no table from end to end', async () => {
    const scans = await database.db.transaction(async (tx) => {
      await readLatency(tx, 60, Date.now());
      const sql = `select seq_scan::int as seq, idx_tup_fetch::int as fetched from pg_stat_xact_user_tables where relname = 'outbox_messages'`;
      return (await tx.executeSql<{ seq: number; fetched: number }>(sql)).rows[0]!;
    });
    expect(scans.seq).toBe(0);
    expect(scans.fetched).toBeLessThan(10_000); // 2,000 twice, and rows that the tests above deleted
  });
});
