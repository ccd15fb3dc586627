// Each job becomes one message, whatever ids the source gives: one that is used again, one of two queues, one that an import held when it died. Real:
// pg-boss, which puts the jobs in; Postgres. Doubled: the death, which is an error that is thrown.

import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { installSchema, openInstance, yearInSeconds } from '../../src/queue/instance.ts';
import { dataOf } from '../../src/queue/wake-up.ts';
import { pgBossTables } from '../../src/transfer/pg-boss.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { failing, here, receipt, recordedNumbers, runImport, there } from '../support/importing.ts';
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

async function open(schema: string, url = other.url) {
  const boss = await peers.startPgBoss(url, schema);
  onTestFinished(() => boss.stop({ graceful: false }));
  return boss;
}

describe('an id of pg-boss', () => {
  it.each(['here', 'there'] as const)('that is used again is another job: %s', async (where) => {
    const boss = await open(`again_${where}`, where === 'here' ? database.url : other.url);
    const tables = pgBossTables(`again_${where}`);
    const source = where === 'here' ? here(tables, database) : there(tables, other);
    await boss.createQueue('receipt');
    const id = randomUUID();
    for (const n of [1, 2]) {
      await boss.send('receipt', { n }, { id });
      expect(await runImport(database.db, source, { receipt })).toMatchObject({ imported: 1, left: 0 });
    }
    expect(await recordedNumbers(database.db)).toEqual([1, 2]);
  });

  it('that two queues have is two jobs, also while they are held', async () => {
    const boss = await open('twins');
    const source = there(pgBossTables('twins'), other);
    const id = randomUUID();
    for (const [n, queue] of ['a', 'b'].entries()) {
      await boss.createQueue(queue);
      await boss.send(queue, { n }, { id });
    }
    const rows = { a: receipt, b: receipt };
    await expect(runImport(failing(database.db, 'after'), source, rows)).rejects.toThrow('the import dies');
    expect(await source.survey()).toMatchObject({ held: 2 });
    expect(await runImport(database.db, source, rows)).toMatchObject({ already: 2, held: 0, left: 0 });
    expect(await recordedNumbers(database.db)).toEqual([0, 1]);
  });

  it('that is used again while its job is held does not stop the import', async () => {
    const boss = await open('held_again');
    const source = there(pgBossTables('held_again'), other);
    await boss.createQueue('receipt');
    const id = randomUUID();
    await boss.send('receipt', { n: 1 }, { id });
    const dying = runImport(failing(database.db, 'before'), source, { receipt });
    await expect(dying).rejects.toThrow('the import dies');
    await boss.send('receipt', { n: 2 }, { id });
    // It does not fit, so it stays held.
    const rows = { receipt: { kind: 'event', name: 'order.placed' } };
    expect(await runImport(database.db, source, rows)).toMatchObject({ misfits: { count: 2 }, held: 1 });
    expect(await runImport(database.db, source, { receipt })).toMatchObject({ imported: 2, held: 0 });
    expect(await recordedNumbers(database.db)).toEqual([1, 2]);
  });
});

describe('held jobs', () => {
  it('are found without --from too, where it is the database of the messages', async () => {
    const boss = await open('spelled', database.url);
    await boss.createQueue('receipt');
    await boss.send('receipt', { n: 1 });
    const byUrl = there(pgBossTables('spelled'), database);
    const dying = runImport(failing(database.db, 'before'), byUrl, { receipt });
    await expect(dying).rejects.toThrow('the import dies');
    const source = here(pgBossTables('spelled'), database);
    expect(await source.survey()).toMatchObject({ held: 1 });
    const report = await runImport(database.db, source, { receipt });
    expect(report).toMatchObject({ imported: 1, held: 0 });
    expect(await recordedNumbers(database.db)).toEqual([1]);
  });
});

describe('a job of pg-boss', () => {
  it('may have as many retries as a number holds', async () => {
    const boss = await open('retries');
    await boss.createQueue('receipt');
    await boss.send('receipt', { n: 1 }, { retryLimit: 2_147_483_647 });
    const source = there(pgBossTables('retries'), other);
    expect(await runImport(database.db, source, { receipt })).toMatchObject({ imported: 1 });
    const sql = `select max_attempts as most from waybill.outbox_messages`;
    expect((await database.db.executeSql(sql)).rows).toEqual([{ most: 1_000 }]);
  });

  it('is no wake-up of ours because its queue keeps jobs for a year', async () => {
    const fail = (error: Error): void => expect.fail(error.message);
    await installSchema(database.db, 'postgres', fail);
    const instance = openInstance(database.db, 'postgres', fail);
    onTestFinished(() => instance.forget());
    const ours = await instance.ensure(['jobs']);
    await ours.send('jobs', dataOf({ messages: 2, isGrouped: true, priority: 0 } as never));
    await ours.createQueue('receipt', { retentionSeconds: yearInSeconds });
    await ours.send('receipt', { n: 1 });
    const source = here(pgBossTables(), database);
    expect((await source.survey()).queues).toMatchObject([{ queue: 'receipt', pending: 1 }]);
    expect(await runImport(database.db, source, { receipt, jobs: receipt })).toMatchObject({
      imported: 1,
      misfits: { count: 0 },
    });
    expect(await ours.findJobs('jobs')).toHaveLength(1);
  });
});
