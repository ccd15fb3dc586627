// What an import from BullMQ makes of ids that are used again, flows, given-up jobs, odd times, and other prefixes in the same Redis. Real: BullMQ with its
// workers, Redis, Postgres. Doubled: nothing.

import { FlowProducer } from 'bullmq';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { importLines } from '../../src/cli/transfer-lines.ts';
import { bullmqSource } from '../../src/transfer/bullmq.ts';
import { bullmqImports } from '../support/bullmq-imports.ts';
import { receipt, recordedNumbers, runImport } from '../support/importing.ts';
import { hasRedis } from '../support/redis.ts';
import { until } from '../support/wait.ts';

describe.skipIf(!hasRedis)('an import from BullMQ', () => {
  const { the, connection, open, fetched, run } = bullmqImports();

  it('takes an id and a time that are used again for another job where the data differs', async () => {
    const queue = open('again');
    for (const n of [1, 2]) {
      await queue.add('receipt', { n }, { jobId: 'order-1', timestamp: 1_700_000_000_000 });
      expect(await run({ again: receipt })).toMatchObject({ imported: 1, already: 0, left: 0 });
    }
    expect(await recordedNumbers(the.database.db)).toEqual([1, 2]);
  });

  it('leaves a parent whose children have ended, with what they returned', async () => {
    const queue = open('parents');
    open('children');
    const flows = new FlowProducer({ connection: connection() });
    onTestFinished(() => flows.close());
    const { job } = await flows.add({
      name: 'receipt',
      queueName: 'parents',
      data: { n: 1 },
      children: [{ name: 'child', queueName: 'children', data: {} }],
    });
    await (await fetched('children')).moveToCompleted('its result', 'token', false);
    await until(async () => (await job.getState()) === 'waiting');
    const report = await run({ parents: receipt, children: receipt });
    expect(report).toMatchObject({ imported: 0, misfits: { count: 0 } });
    expect(report.queues).toMatchObject([{ queue: 'parents/receipt', pending: 0, inFlows: 1 }]);
    expect(Object.values(await (await queue.getJob(job.id!))!.getChildrenValues())).toEqual(['its result']);
  });

  it('takes given-up jobs by the rows of their names', async () => {
    const queue = open('failures');
    await queue.add('receipt', { n: 1 });
    await queue.add('other', { n: 2 });
    for (let i = 0; i < 2; i++)
      await (await fetched('failures')).moveToFailed(new Error('no'), 'token', false);
    expect(await queue.getFailedCount()).toBe(2);
    const rows = { 'failures/receipt': receipt };
    await expect(run(rows, { failed: true })).rejects.toMatchObject({
      code: 'queues_unmapped',
      message: expect.stringContaining('failures/other: 1 job') as string,
    });
    const report = await run(rows, { failed: true, skipUnmapped: true });
    expect(report).toMatchObject({ imported: 1, left: 0 });
    expect(report.queues).toMatchObject([
      { queue: 'failures/receipt', target: 'job receipt', failed: 1, imported: 1 },
      { queue: 'failures/other', target: null, failed: 1 },
    ]);
    expect((await queue.getFailed()).map(({ name }) => name)).toEqual(['other']);
  });

  it('leaves a job whose time is beyond all dates, and takes the others', async () => {
    const queue = open('times');
    await queue.add('receipt', { n: 1 }, { delay: 1e15 });
    await queue.add('receipt', { n: 2 }, { delay: Number.MAX_SAFE_INTEGER });
    await queue.add('receipt', { n: 3 }, { delay: 1_000 });
    expect(await run({ times: receipt })).toMatchObject({
      imported: 1,
      misfits: { groups: [{ code: 'invalid_time', count: 2 }] },
    });
    expect(await queue.getDelayedCount()).toBe(2);
  });

  it('takes the queues of its prefix alone, whatever characters it has', async () => {
    for (const prefix of ['bull', 'bull:eu', 'app[1]', 'app1'])
      await open('mine', prefix).add('receipt', { n: prefix.length });
    for (const prefix of ['bull', 'app[1]', 'bull:eu'])
      expect(await run({ mine: receipt }, {}, prefix)).toMatchObject({ imported: 1, left: 0 });
    expect(await recordedNumbers(the.database.db)).toEqual([4, 6, 7]);
  });

  it('counts apart the job b/c of the queue a and the job c of the queue a/b', async () => {
    await open('a').add('b/receipt', { n: 1 });
    await open('a/b').add('receipt', { n: 2 });
    const report = await run({ a: { skip: 'stays' }, 'a/b': receipt });
    expect(report).toMatchObject({ imported: 1, left: 0 });
    expect(report.queues).toMatchObject([
      { queue: 'a/b/receipt', within: 'a', pending: 1, imported: 0, skip: 'stays' },
      { queue: 'a/b/receipt', within: 'a/b', pending: 1, imported: 1 },
    ]);
  });

  it('names no missing row for what a worker runs', async () => {
    const queue = open('running');
    await queue.add('receipt', { n: 1 });
    const job = await fetched('running');
    const report = await run({ 'running/receipt': receipt });
    expect(report.queues).toMatchObject([{ queue: 'running', inFlight: 1 }]);
    expect(importLines(report).join('\n')).not.toContain('no row');
    await job.moveToCompleted('', 'token', false);
  });

  it('says what Redis refuses, and does not call it unreachable', async () => {
    await open('read-only').add('receipt', { n: 1 });
    const admin = new Redis(the.redis.port);
    onTestFinished(() => admin.disconnect());
    await admin.call('ACL', 'SETUSER', 'reader', 'on', '>pw', '~*', '+@all', '-hset');
    const source = await bullmqSource(`redis://reader:pw@127.0.0.1:${the.redis.port}`);
    onTestFinished(() => source.close());
    await expect(runImport(the.database.db, source, { 'read-only': receipt })).rejects.toMatchObject({
      code: 'source_refused',
      message: expect.stringContaining('refused a command') as string,
    });
  });
});
