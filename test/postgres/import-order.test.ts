// The order of jobs with one order key: that in which their source would start them, also after an import that died. Real: pg-boss and graphile-worker,
// which start the same jobs for comparison; Postgres. Doubled: the death, which is an error that is thrown.

import { Logger, runOnce } from 'graphile-worker';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { graphileWorkerTables } from '../../src/transfer/graphile-worker.ts';
import { pgBossTables } from '../../src/transfer/pg-boss.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { account, failing, recordedNumbers, runImport, there } from '../support/importing.ts';
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

async function openBoss(schema: string) {
  const boss = await peers.startPgBoss(other.url, schema);
  onTestFinished(() => boss.stop({ graceful: false }));
  return boss;
}
async function openGraphile(schema: string) {
  const graphile = await peers.startGraphileWorker(other.url, schema);
  onTestFinished(() => graphile.end());
  return graphile;
}
const secondsAgo = (seconds: number): Date => new Date(Date.now() - seconds * 1_000);

describe('jobs of one order key are recorded as the source would start them', () => {
  it('pg-boss: as they were created, whatever their priorities and due times are; a later one last', async () => {
    const boss = await openBoss('fifo');
    const fill = async (queue: string): Promise<void> => {
      await boss.createQueue(queue, { policy: 'key_strict_fifo' });
      const send = (n: number, more: object) => boss.send(queue, { n }, { singletonKey: 'k', ...more });
      await send(5, { startAfter: secondsAgo(-3_600) });
      await send(1, { startAfter: secondsAgo(1) });
      await send(2, { startAfter: secondsAgo(60) });
      await send(3, { priority: 10 });
      await send(4, { startAfter: secondsAgo(30), priority: -10 });
    };
    await fill('started');
    const started: unknown[] = [];
    for (;;) {
      const [job] = await boss.fetch<{ n: number }>('started');
      if (job === undefined) break;
      started.push(job.data.n);
      await boss.complete('started', job.id);
    }
    expect(started).toEqual([1, 2, 3, 4]);
    await fill('orders');
    const rows = { orders: account, started: { skip: 'for comparison' } };
    await runImport(database.db, there(pgBossTables('fifo'), other), rows, { batchSize: 2 });
    expect(await recordedNumbers(database.db)).toEqual([1, 2, 3, 4, 5]);
  });

  it('graphile-worker: by priority, then by due time; a later one last', async () => {
    const graphile = await openGraphile('ranked');
    const fill = async (task: string): Promise<void> => {
      const add = (n: number, more: object) =>
        graphile.utils.addJob(task, { n }, { queueName: task, ...more });
      await add(5, { runAt: secondsAgo(-3_600), priority: -9 });
      await add(3, { priority: 5 });
      await add(2, { runAt: secondsAgo(30) });
      await add(1, { priority: -5 });
      await add(4, { runAt: secondsAgo(60), priority: 6 });
    };
    await fill('started');
    const started: unknown[] = [];
    const options = {
      connectionString: other.url,
      schema: 'ranked',
      logger: new Logger(() => () => undefined),
      taskList: { started: async (payload: unknown) => void started.push((payload as { n: number }).n) },
    };
    while (started.length < 4) await runOnce(options); // one run ends while the queue is locked
    expect(started).toEqual([1, 2, 3, 4]);
    await fill('account');
    const rows = { account, started: { skip: 'for comparison' } };
    await runImport(database.db, there(graphileWorkerTables('ranked'), other), rows, { batchSize: 2 });
    expect(await recordedNumbers(database.db)).toEqual([1, 2, 3, 4, 5]);
  });

  it('also those that an import held when it died', async () => {
    const graphile = await openGraphile('held');
    const expected = peers.numbers(12); // as texts, 10 comes before 2
    for (const payload of expected) await graphile.utils.addJob('account', payload, { queueName: 'q' });
    const source = there(graphileWorkerTables('held'), other);
    const dying = runImport(failing(database.db, 'before'), source, { account }, { batchSize: 12 });
    await expect(dying).rejects.toThrow('the import dies');
    expect(await runImport(database.db, source, { account }, { batchSize: 5 })).toMatchObject({
      imported: 12,
      held: 0,
    });
    expect(await recordedNumbers(database.db)).toEqual(expected.map(({ n }) => n));
  });

  it('pg-boss: a job for which others wait stays, and those of its key behind it', async () => {
    const boss = await openBoss('flow');
    await boss.createQueue('orders', { policy: 'key_strict_fifo' });
    for (const [n, singletonKey] of ['a', 'a', 'b', 'b'].entries())
      await boss.send('orders', { n }, { singletonKey });
    await other.db.executeSql(`update flow.job set blocking = true where data ->> 'n' = '0'`);
    await other.db.executeSql(`update flow.job set blocked = true where data ->> 'n' = '2'`);
    const report = await runImport(database.db, there(pgBossTables('flow'), other), { orders: account });
    expect(report).toMatchObject({ imported: 1, left: 1, queues: [{ pending: 2, inFlows: 2 }] });
    expect(report.misfits.groups.map(({ code }) => code)).toEqual(['in_flow', 'behind_misfit']);
    expect(await recordedNumbers(database.db)).toEqual([3]);
  });

  it('and --limit counts them too', async () => {
    const graphile = await openGraphile('limited');
    for (const payload of peers.numbers(6)) await graphile.utils.addJob('account', payload);
    const source = there(graphileWorkerTables('limited'), other);
    const dying = runImport(failing(database.db, 'before'), source, { account });
    await expect(dying).rejects.toThrow('the import dies');
    const report = await runImport(database.db, source, { account }, { limit: 4 });
    expect(report).toMatchObject({ imported: 4, held: 2, end: 'limit' });
  });
});
