// What an import does with payloads that cannot be recorded as they are, with the jobs behind them, and with large ones. Real: graphile-worker and pg-boss,
// which put the jobs in; Postgres. Doubled: the death, which is an error that is thrown.

import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { importLines } from '../../src/cli/transfer-lines.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { graphileWorkerTables } from '../../src/transfer/graphile-worker.ts';
import { pgBossTables } from '../../src/transfer/pg-boss.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { account, failing, receipt, recordedNumbers, runImport, there } from '../support/importing.ts';
import * as peers from '../support/peers.ts';

let database: TestDatabase;
let other: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
  other = await testDatabase({ migrated: false });
});
afterAll(async () => {
  await other.end();
  await database.end();
});
beforeEach(() => database.db.executeSql('truncate waybill.outbox_messages cascade'));

async function openGraphile(schema: string) {
  const graphile = await peers.startGraphileWorker(other.url, schema);
  onTestFinished(() => graphile.end());
  return { ...graphile, source: there(graphileWorkerTables(schema), other) };
}

describe('a payload', () => {
  it('with a number that JavaScript cannot hold stays in the source', async () => {
    const { source } = await openGraphile('numbers');
    const add = (json: string) =>
      other.db.executeSql(`select numbers.add_job('receipt', $1::text::json)`, [json]);
    for (const json of ['{"n":9007199254740993}', '{"n":1e400}', '{"n":7,"text":"9007199254740993"}'])
      await add(json);
    expect(await runImport(database.db, source, { receipt })).toMatchObject({
      imported: 1,
      left: 2,
      misfits: {
        groups: [{ code: 'number_not_exact', paths: ['n'], count: 2 }],
      },
    });
    expect(await recordedNumbers(database.db)).toEqual([7]);
  });

  it('of which two fields would have one name stays in the source', async () => {
    const { utils, source } = await openGraphile('renamed');
    for (const payload of [{ number: 1, n: 2 }, { n: 2, number: 1 }, { number: 3 }])
      await utils.addJob('receipt', payload);
    const row = { ...receipt, rename: { number: 'n' } };
    expect(await runImport(database.db, source, { receipt: row })).toMatchObject({
      imported: 1,
      left: 2,
      misfits: { groups: [{ code: 'rename_taken', paths: ['n'], count: 2 }] },
    });
    expect(await recordedNumbers(database.db)).toEqual([3]);
  });

  it('that is large makes the batch smaller', async () => {
    const { utils, source } = await openGraphile('large');
    const text = 'x'.repeat(200_000);
    await utils.addJobs(peers.numbers(60).map(({ n }) => ({ identifier: 'receipt', payload: { n, text } })));
    const done: number[] = [];
    const onProgress = (count: number): void => void done.push(count);
    expect(await runImport(database.db, source, { receipt }, { batchSize: 5_000, onProgress })).toMatchObject(
      { imported: 60, left: 0 },
    );
    expect(done[0]).toBe(41); // 8 MB
  });
});

describe('a report', () => {
  it('names rows of the map that match nothing, and says what a limit did', async () => {
    const { utils, source } = await openGraphile('limits');
    for (const payload of peers.numbers(3)) await utils.addJob('receipt', payload);
    const rows = { receipt, recipt: receipt };
    const dry = await runImport(database.db, source, rows, { limit: 2, dryRun: true });
    expect(importLines(dry)).toEqual(
      expect.arrayContaining([
        'rows of the map without a job in the source: recipt',
        '--limit has no effect on --dry-run, which checks all jobs',
      ]),
    );
    const report = await runImport(database.db, source, rows, { limit: 2 });
    expect(importLines(report)).toContain('the limit of 2 jobs was reached: the same command goes on');
  });
});

describe('jobs behind one that does not fit', () => {
  it('of its order key stay too, and keep their order when it is mended', async () => {
    const { utils, source } = await openGraphile('behind');
    const add = (task: string, n: unknown, queueName: string) => utils.addJob(task, { n }, { queueName });
    await add('account', 1, 'q');
    await add('account', 'x', 'q');
    await add('account', 3, 'q');
    await add('receipt', 4, 'q');
    await add('receipt', 5, 'r');
    const rows = { account, receipt: { ...receipt, queue: 'accounts' } };
    for (const batchSize of [1, 5])
      expect(await runImport(database.db, source, rows, { batchSize, dryRun: true })).toMatchObject({
        imported: 2,
        misfits: { count: 3 },
      });
    const report = await runImport(database.db, source, rows, { batchSize: 3 });
    expect(report).toMatchObject({ imported: 2, left: 3, held: 0 });
    expect(report.misfits.groups).toMatchObject([
      { queue: 'account', code: 'payload_invalid', count: 1 },
      { queue: 'account', code: 'behind_misfit', count: 1 },
      { queue: 'receipt', code: 'behind_misfit', count: 1 },
    ]);
    expect(new Set(await recordedNumbers(database.db))).toEqual(new Set([1, 5]));
    await other.db.executeSql(
      `update behind._private_jobs set payload = '{"n":2}' where payload ->> 'n' = 'x'`,
    );
    expect(await runImport(database.db, source, rows)).toMatchObject({ imported: 3, left: 0 });
    const sql = `select payload -> 'n' as n from waybill.outbox_messages where order_key = 'q' order by abs(order_position)`;
    expect((await database.db.executeSql(sql)).rows.map(({ n }) => n)).toEqual([1, 2, 3, 4]);
  });
});

describe('a job of graphile-worker whose worker was killed', () => {
  it('waits or is given up when its lock is 4 hours old, and is in flight before', async () => {
    const { utils, source } = await openGraphile('killed');
    for (const n of [1, 2, 3]) await utils.addJob('receipt', { n }, { maxAttempts: 3 });
    const lock = (n: number, hours: number, attempts: number) =>
      other.db.executeSql(
        `update killed._private_jobs set locked_by = 'w', locked_at = now() - make_interval(hours => $2::int), attempts = $3::int
          where (payload ->> 'n')::int = $1::int`,
        [n, hours, attempts],
      );
    await lock(1, 5, 1);
    await lock(2, 5, 3);
    await lock(3, 3, 1);
    const report = await runImport(database.db, source, { receipt });
    expect(report).toMatchObject({ imported: 1, queues: [{ pending: 1, inFlight: 1, failed: 1 }] });
    expect(importLines(report).join('\n')).toMatch(/1 job is in flight\. .*force_unlock_workers/);
    const sql = 'select max_attempts as most from waybill.outbox_messages';
    expect((await database.db.executeSql(sql)).rows).toEqual([{ most: 2 }]);
    expect(await runImport(database.db, source, { receipt }, { failed: true })).toMatchObject({
      imported: 1,
    });
    expect(await recordedNumbers(database.db)).toEqual([1, 2]);
  });
});

describe('a message with the own key of its job', () => {
  it.each(['cancelled', 'dead'])('is known when it is %s before the import goes on', async (state) => {
    const boss = await peers.startPgBoss(other.url, `own_${state}`);
    onTestFinished(() => boss.stop({ graceful: false }));
    await boss.createQueue('receipt');
    await boss.send('receipt', { n: 1 }, { singletonKey: 'order-1' });
    const source = there(pgBossTables(`own_${state}`), other);
    const rows = { receipt: { ...receipt, key: 'own' } };
    await expect(runImport(failing(database.db, 'after'), source, rows)).rejects.toThrow('the import dies');
    await database.db.executeSql(
      `update waybill.outbox_messages set status = $1, ${state}_at = now()${state === 'dead' ? `, attempts = 1, last_error = 'x'` : ''}`,
      [state],
    );
    expect(await runImport(database.db, source, rows)).toMatchObject({ already: 1, imported: 0, held: 0 });
    expect(await recordedNumbers(database.db)).toEqual([1]);
  });

  it('is held where its key is taken meanwhile, and becomes one with "key": "id"', async () => {
    const boss = await peers.startPgBoss(other.url, 'raced');
    onTestFinished(() => boss.stop({ graceful: false }));
    await boss.createQueue('receipt');
    await boss.send('receipt', { n: 1 }, { singletonKey: 'order-2' });
    const source = there(pgBossTables('raced'), other);
    const raced: typeof database.db = {
      ...database.db,
      async transaction(body, ...rest) {
        const message = { kind: 'job', name: 'receipt', queue: 'jobs', payload: { n: 0 } } as const;
        await createPostgresOutbox(database.db).enqueue({ ...message, deliveryKey: 'order-2' });
        return database.db.transaction(body, ...rest);
      },
    };
    const report = await runImport(raced, source, { receipt: { ...receipt, key: 'own' } });
    expect(report).toMatchObject({ imported: 0, held: 1, misfits: { count: 1 } });
    expect(importLines(report).join('\n')).toMatch(/delivery_key_taken: .*"key": "id"/);
    expect(await runImport(database.db, source, { receipt })).toMatchObject({ imported: 1, held: 0 });
    expect(await recordedNumbers(database.db)).toEqual([0, 1]);
  });
});
