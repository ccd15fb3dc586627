// `waybill import` and `waybill export` as their users run them, stopped three times and run again. Real: pg-boss, graphile-worker and BullMQ, which put
// the jobs in and work some of them off meanwhile; Postgres, Redis, and the processes of the commands. Doubled: nothing.
//
// WAYBILL_TEST_IMPORT=100000 imports so many jobs from each, and prints how long that took.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'bullmq';
import { Logger, run } from 'graphile-worker';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { parsePayloadKeys, type PayloadKeys } from '../../src/message/seal.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import type { ImportReport } from '../../src/transfer/import.ts';
import { compileCache, waybill, waybillCommand, type Ended } from '../support/command.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import * as peers from '../support/peers.ts';
import { hasRedis, startRedis, type TestRedis } from '../support/redis.ts';
import { until } from '../support/wait.ts';

const count = Number(process.env['WAYBILL_TEST_IMPORT'] ?? 1_000);
const isLong = count > 10_000;
/** Beside others on a slow machine each process takes seconds to start. */
const timeout = isLong ? 1_800_000 : 180_000;
let database: TestDatabase;
let other: TestDatabase;
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
beforeEach(() => database.db.executeSql('truncate waybill.outbox_messages cascade'));

const env = (): Record<string, string> => ({
  DATABASE_URL: database.url,
  WAYBILL_APP: 'test/support/import-app.ts',
});
const file = (name: string, content: object): string => {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify(content));
  return path;
};
/** For people who look at the long form. */
async function timed<T>(what: string, jobs: number, work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work();
  const seconds = (performance.now() - start) / 1_000;
  if (isLong)
    console.log(`${what}: ${jobs} in ${seconds.toFixed(1)} s, ${Math.round(jobs / seconds)} a second`);
  return result;
}
const receipts = (queue: string): string =>
  file(`${queue.replace('/', '-')}.json`, { queues: { [queue]: { kind: 'job', name: 'receipt' } } });

const recorded = async (): Promise<number[]> => {
  const sql = `select (payload ->> 'n')::int as n from waybill.outbox_messages where status = 'pending' order by 1`;
  return (await database.db.executeSql<{ n: number }>(sql)).rows.map(({ n }) => n);
};
const recordedCount = async (): Promise<number> => {
  const sql = `select count(*)::int as n from waybill.outbox_messages where status = 'pending'`;
  return (await database.db.executeSql<{ n: number }>(sql)).rows[0]!.n;
};
/** Each number from 0 on is there once. */
function expectEach(numbers: readonly number[]): void {
  const times = Map.groupBy(numbers, (n) => n);
  const missing = Array.from({ length: count }, (_, n) => n).filter((n) => !times.has(n));
  const doubled = [...times].filter(([, its]) => its.length > 1).map(([n]) => n);
  expect({ missing, doubled }).toEqual({ missing: [], doubled: [] });
}
const json = ({ stdout, stderr }: Ended): ImportReport => {
  expect(stdout, stderr).not.toBe('');
  return JSON.parse(stdout) as ImportReport;
};

/** Stops the command when it has recorded so many more, three times, once by Ctrl-C, after which it ends its batch. Then lets it end. */
async function interrupted(args: readonly string[]): Promise<Ended> {
  const batches = isLong ? [] : ['--batch-size', '10'];
  for (const signal of ['SIGKILL', 'SIGINT', 'SIGKILL'] as const) {
    const before = await recordedCount();
    const child = spawn(process.execPath, [...waybillCommand, ...args, ...batches], {
      cwd: join(import.meta.dirname, '../..'),
      env: { PATH: process.env['PATH'], ...compileCache, ...env() },
      stdio: 'ignore',
    });
    const ended = once(child, 'exit');
    const further = async (): Promise<boolean> => (await recordedCount()) > before + count / 20;
    await until(further, { timeoutMs: isLong ? 600_000 : 60_000, what: 'the import to go on' }).finally(() =>
      child.kill(signal),
    );
    expect(await ended).toEqual(signal === 'SIGINT' ? [1, null] : [null, signal]);
    expect(await recordedCount(), 'it was interrupted').toBeLessThan(count);
  }
  const left = count - (await recordedCount());
  return timed(args.slice(0, 2).join(' '), left, () => waybill([...args, '--json'], env()));
}

describe('each job is recorded once, although the import is stopped three times', () => {
  it('pg-boss, in the same database; its jobs come back by the export', { timeout }, async () => {
    const boss = await peers.startPgBoss(database.url);
    onTestFinished(() => boss.stop({ graceful: false }));
    await peers.fillPgBoss(boss, 'receipts', count);
    const sql = `select count(*)::int as n, md5(string_agg(id || data::text, ',' order by id)) as digest from pgboss.job
      where name = 'receipts' and state = 'created'`;
    const before = (await database.db.executeSql(sql)).rows;
    const map = receipts('receipts');
    const ended = await interrupted(['import', 'pg-boss', '--map', map]);
    expect(ended.code, ended.stderr).toBe(0);
    expect(json(ended)).toMatchObject({ left: 0, held: 0, end: 'done', misfits: { count: 0 } });
    expectEach(await recorded());
    expect((await database.db.executeSql(sql)).rows).toEqual([{ n: 0, digest: null }]);

    const args = ['export', '--format', 'pg-boss', '--name', 'receipt', '--map', map];
    const half = await waybill([...args, '--limit', String(count / 2)], env());
    expect(half.code, half.stderr).toBe(0);
    expect((await recorded()).length).toBe(count / 2);
    const rest = await timed('export to pg-boss', count / 2, () => waybill([...args, '--json'], env()));
    expect(JSON.parse(rest.stdout), rest.stderr).toMatchObject({
      exported: count / 2,
      stayed: {},
      end: 'done',
    });
    expect(await recorded()).toEqual([]);
    expect((await database.db.executeSql(sql)).rows).toEqual(before);
    expect(before).toMatchObject([{ n: count }]);
  });

  it('graphile-worker, in another database, whose workers go on', { timeout }, async () => {
    const graphile = await peers.startGraphileWorker(other.url);
    onTestFinished(() => graphile.end());
    await peers.fillGraphileWorker(graphile, 'receipt', count);
    const worked: number[] = [];
    const runner = await run({
      connectionString: other.url,
      maxPoolSize: 3,
      concurrency: 1,
      noHandleSignals: true,
      logger: new Logger(() => () => undefined),
      taskList: {
        async receipt(payload) {
          worked.push((payload as { readonly n: number }).n);
          await sleep(200); // so that enough is left for the import on a slow machine
        },
      },
    });
    const args = ['import', 'graphile-worker', '--map', receipts('receipt'), '--from', other.url];
    await until(() => worked.length > 5, { what: 'the workers of graphile-worker' });
    let ended: Ended;
    try {
      ended = await interrupted(args);
    } finally {
      await runner.stop();
    }
    expect(ended.code, ended.stderr).toBe(0);
    expect(json(ended)).toMatchObject({ held: 0, left: 0 });
    expectEach([...worked, ...(await recorded())]);
  });

  if (!hasRedis)
    console.warn(
      "\n*****\n***** NOT TESTED: the import from BullMQ. Install Debian's package redis-server\n*****",
    );
  describe.skipIf(!hasRedis)('BullMQ', () => {
    let redis: TestRedis;
    beforeAll(async () => void (redis = await startRedis()));
    afterAll(() => redis.end());

    it('whose workers go on', { timeout }, async () => {
      const queue = peers.openBullmqQueue('receipts', redis.port);
      await peers.fillBullmq(queue, 'receipt', count);
      const worked: number[] = [];
      const connection = { host: '127.0.0.1', port: redis.port, maxRetriesPerRequest: null };
      const worker = new Worker('receipts', async ({ data }) => void worked.push((data as { n: number }).n), {
        connection,
        limiter: { max: 1, duration: 200 }, // so that enough is left for the import on a slow machine
      });
      onTestFinished(async () => {
        await worker.close();
        await queue.close();
      });
      await until(() => worked.length > 5, { what: 'the workers of BullMQ' });
      const args = ['import', 'bullmq', '--map', receipts('receipts'), '--from', redis.url];
      const ended = await interrupted(args);
      expect(ended.code, ended.stderr).toBe(0);
      expect(json(ended)).toMatchObject({ held: 0, left: 0 });
      await until(async () => (await queue.getActiveCount()) === 0);
      expectEach([...worked, ...(await recorded())]);
    });

    it('ends with 3 while a job of the map stays, although it is no misfit', async () => {
      const queue = peers.openBullmqQueue('bytes', redis.port);
      const { id } = await queue.add('receipt', {});
      const admin = new Redis(redis.port);
      onTestFinished(async () => {
        admin.disconnect();
        await queue.obliterate({ force: true });
        await queue.close();
      });
      // No UTF-8, so what is read is not what is there.
      await admin.hset(`bull:bytes:${id}`, 'data', Buffer.from('{"n":1,"x":"\xFF"}', 'latin1'));
      const ended = await waybill(
        ['import', 'bullmq', '--map', receipts('bytes'), '--from', redis.url],
        env(),
      );
      expect(ended.code, ended.stderr).toBe(3);
      expect(ended.stdout).toContain('1 job of the imported queues still waits in the source');
      expect(await queue.getWaitingCount()).toBe(1);
    });

    it('is named when it does not answer: exit code 69, and no password', async () => {
      const from = 'redis://user:geheim@127.0.0.1:1';
      const ended = await waybill(['import', 'bullmq', '--map', receipts('receipts'), '--from', from], env());
      expect(ended.code, ended.stderr).toBe(69);
      expect(ended.stderr).toContain('source_unreachable');
      expect(ended.stderr).not.toContain('geheim');
    });
  });
});

describe('what a command says', () => {
  it.each<[string, string[], number, RegExp]>([
    ['an unknown source', ['pgboss', '--map', 'x'], 2, /was pg-boss meant\?.*\(unknown_source\)/],
    ['no map', ['pg-boss'], 2, /--write-map pg-boss.json \(map_required\)/],
    [
      'a map that is not there',
      ['pg-boss', '--map', '/nowhere.json'],
      2,
      /cannot be read.*\(invalid_import_map\)/s,
    ],
    ['no Redis', ['bullmq', '--map', 'x'], 2, /--from redis:.*\(invalid_from\)/],
    ['a file without ndjson', ['pg-boss', 'a.ndjson'], 2, /\(file_required\)/],
    [
      'an option of another source',
      ['pg-boss', '--map', 'x', '--prefix', 'y'],
      2,
      /--prefix is not for pg-boss, only for bullmq \(import_options_invalid\)/,
    ],
    ['a map for lines', ['ndjson', 'x', '--map', 'y'], 2, /--map is not for ndjson/],
    ['a map beside a new one', ['pg-boss', '--map', 'x', '--write-map', 'y'], 2, /leave --map out/],
    [
      'a schema that is not there',
      ['pg-boss', '--write-map', 'x', '--schema', 'nope'],
      1,
      /schema nope.*\(source_not_found\)/,
    ],
    [
      'a database that does not answer',
      ['pg-boss', '--write-map', 'x', '--from', 'postgres://u:geheim@127.0.0.1:1/none'],
      69,
      /--from/,
    ],
  ])('%s', async (_, args, code, message) => {
    const ended = await waybill(['import', ...args], env());
    expect({ code: ended.code, stdout: ended.stdout }, ended.stderr).toEqual({ code, stdout: '' });
    expect(ended.stderr).toMatch(message);
    expect(ended.stderr).not.toContain('geheim');
    expect(ended.stderr).not.toMatch(/\n\s+at /);
  });

  it('that its failed batch is held, and not lost', async () => {
    const graphile = await peers.startGraphileWorker(other.url, 'says_held');
    onTestFinished(() => graphile.end());
    await peers.fillGraphileWorker(graphile, 'receipt', 3);
    const args = ['graphile-worker', '--schema', 'says_held', '--map', receipts('receipt')];
    const command = ['import', ...args, '--from', other.url];
    const table = 'alter table waybill.outbox_messages';
    await database.db.executeSql(`${table} add constraint refuses check (false) not valid`);
    const failed = await waybill(command, env());
    await database.db.executeSql(`${table} drop constraint refuses`);
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain('3 jobs are held by the import, and not lost');
    const ended = await waybill([...command, '--json'], env());
    expect(json(ended)).toMatchObject({ imported: 3, held: 0 });
    expect(await recorded()).toEqual([0, 1, 2]);
  });

  it('which privilege the role of --from lacks', async () => {
    const boss = await peers.startPgBoss(other.url, 'granted');
    onTestFinished(() => boss.stop({ graceful: false }));
    await peers.fillPgBoss(boss, 'receipt', 1);
    const from = new URL(other.url);
    [from.username, from.password] = ['import_reader', 'geheim'];
    await other.fill(
      `create role import_reader login password 'geheim'`,
      'grant usage on schema granted to import_reader',
      'grant select, update, delete on all tables in schema granted to import_reader',
    );
    onTestFinished(() => other.fill('drop owned by import_reader', 'drop role import_reader'));
    const args = ['pg-boss', '--map', receipts('receipt'), '--schema', 'granted', '--from', from.href];
    expect((await waybill(['import', ...args, '--dry-run'], env())).code).toBe(0);
    const ended = await waybill(['import', ...args], env());
    expect(ended.code, ended.stderr).toBe(1);
    expect(ended.stderr).toMatch(
      /the role of --from .*permission denied.*CREATE.*waybill_import.*source_forbidden/,
    );
    expect(ended.stderr).not.toContain('geheim');
  });

  it('that sealed payloads cannot be opened, and leaves no empty file', async () => {
    const keys = `k1:${Buffer.alloc(32, 1).toString('base64')}`;
    const payloadKeys = parsePayloadKeys(keys) as PayloadKeys;
    const secret = { kind: 'job', name: 'secret', queue: 'jobs', payload: { token: 't' } } as const;
    await createPostgresOutbox(database.db, { payloadKeys }).enqueue({ ...secret, sensitive: true });
    const out = join(folder, 'sealed.ndjson');
    const args = ['export', '--format', 'ndjson', '--all', '--out', out];
    const closed = await waybill([...args, '--open-sealed'], env());
    expect(closed).toMatchObject({
      code: 3,
      stdout: expect.stringContaining('WAYBILL_PAYLOAD_KEYS') as string,
    });
    expect(existsSync(out)).toBe(false);
    expect((await waybill([...args, '--remove'], env())).code).toBe(0);
    const ended = await waybill(['import', 'ndjson', out], env());
    expect(ended.code).toBe(3);
    expect(ended.stdout).toContain(
      'payload_sealed: the payload is sealed to its message; export it with --open-sealed',
    );
    expect(ended.stdout).toContain('1 line of the file is not imported');
  });

  it('begins a map, shows a dry run, and reads its own lines again', async () => {
    const boss = await peers.startPgBoss(database.url, 'jobs_of_old');
    onTestFinished(() => boss.stop({ graceful: false }));
    await peers.fillPgBoss(boss, 'receipt', 3);
    await boss.insert('receipt', [{ data: { n: 'ann@customers.example' } }]);
    const map = join(folder, 'begun.json');
    const schema = ['--schema', 'jobs_of_old'];
    const begun = await waybill(['import', 'pg-boss', '--write-map', map, ...schema], env());
    expect(begun.code, begun.stderr).toBe(0);
    expect(JSON.parse(readFileSync(map, 'utf8'))).toEqual({
      queues: { receipt: { kind: 'job', name: 'receipt' } },
    });

    const dry = await waybill(['import', 'pg-boss', '--map', map, ...schema, '--dry-run'], env());
    expect(dry.code).toBe(3);
    expect(dry.stdout).toContain(
      '3 jobs would become messages, 0 had become messages before, 1 does not fit',
    );
    expect(dry.stdout).toContain('payload_invalid (n: invalid_type)');
    expect(dry.stdout).not.toContain('ann@customers.example');
    expect(await recorded()).toEqual([]);

    expect((await waybill(['import', 'pg-boss', '--map', map, ...schema], env())).code).toBe(3);
    expect(await recorded()).toEqual([0, 1, 2]);

    const out = join(folder, 'out.ndjson');
    const exported = await waybill(
      ['export', '--format', 'ndjson', '--all', '--out', out, '--remove'],
      env(),
    );
    expect(exported.code, exported.stderr).toBe(0);
    expect(await recorded()).toEqual([]);
    for (const [imported, already] of [
      [3, 0],
      [0, 3],
    ] as const) {
      const again = await waybill(['import', 'ndjson', out, '--json'], env());
      expect(json(again), again.stderr).toMatchObject({ imported, already });
      expect(await recorded()).toEqual([0, 1, 2]);
    }
  });
});
