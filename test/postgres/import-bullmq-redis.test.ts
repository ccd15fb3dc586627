// What an import from BullMQ asks of its Redis, and which queues it refuses. Real: BullMQ, Redis, Postgres. Doubled: queues of BullMQ 4 and of BullMQ Pro,
// whose keys the tests write.

import { describe, expect, it } from 'vitest';
import { bullmqSource } from '../../src/transfer/bullmq.ts';
import { bullmqImports } from '../support/bullmq-imports.ts';
import { receipt, recordedNumbers } from '../support/importing.ts';
import { hasRedis } from '../support/redis.ts';

describe.skipIf(!hasRedis)('an import from BullMQ', () => {
  const { the, open, admin, run } = bullmqImports();
  const skipped = { skip: 'stays' };

  it('I. takes a page behind many jobs that stay with one scan of the list, and reads the names of keys once', async () => {
    const queue = open('behind');
    await queue.addBulk(Array.from({ length: 30 }, () => ({ name: 'other', data: {} })));
    await queue.addBulk(Array.from({ length: 20 }, (_, n) => ({ name: 'receipt', data: { n } })));
    await queue.addBulk(Array.from({ length: 5 }, () => ({ name: 'other', data: {} })));
    for (const name of ['second', 'third']) await open(name).waitUntilReady();
    const redis = admin();
    await redis.config('RESETSTAT');
    const rows = { 'behind/other': skipped, behind: receipt };
    expect(await run(rows, { batchSize: 50 })).toMatchObject({ imported: 20, left: 0 });
    const stats = await redis.info('commandstats');
    const calls = (command: string): number =>
      Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
    expect({ lrem: calls('lrem'), scan: calls('scan') }).toEqual({ lrem: 1, scan: 1 });
    expect(await recordedNumbers(the.database.db)).toEqual(Array.from({ length: 20 }, (_, n) => n));
    const waiting = (await queue.getWaiting()).map(({ id }) => Number(id));
    expect(waiting).toHaveLength(35);
    expect(waiting).toEqual(waiting.toSorted((a, b) => a - b));
  });

  it('opens one connection, however many queues there are', async () => {
    for (let n = 0; n < 5; n++) await open(`one-${n}`).upsertJobScheduler('daily', { every: 86_400_000 });
    const redis = admin();
    const opened = async (): Promise<number> =>
      Number(/total_connections_received:(\d+)/.exec(await redis.info('stats'))![1]);
    const before = await opened();
    const source = await bullmqSource(the.redis.url);
    expect((await source.survey()).schedules).toHaveLength(5);
    expect(await opened()).toBe(before + 1);
    await source.close();
  });

  it('shows schedules of each version, and changes none', async () => {
    const queue = open('schedules');
    await queue.upsertJobScheduler('nightly', { pattern: '0 3 * * *', tz: 'Europe/Berlin' });
    await queue.upsertJobScheduler('often', { every: 60_000 });
    const redis = admin();
    const key = 'bull:schedules:repeat';
    await redis.zadd(key, 1, 'mail:::Europe/Paris:0 4 * * *', 1, 'poll:own:::5000', 1, 'lost');
    const before = await redis.zrange(key, '0', '-1', 'WITHSCORES');
    expect((await run({}, { dryRun: true, skipUnmapped: true })).schedules).toEqual([
      { name: 'schedules/lost', schedule: 'unknown', timeZone: null },
      { name: 'schedules/mail', schedule: '0 4 * * *', timeZone: 'Europe/Paris' },
      { name: 'schedules/nightly', schedule: '0 3 * * *', timeZone: 'Europe/Berlin' },
      { name: 'schedules/often', schedule: 'every 60000 ms', timeZone: null },
      { name: 'schedules/poll:own', schedule: 'every 5000 ms', timeZone: null },
    ]);
    expect(await redis.zrange(key, '0', '-1', 'WITHSCORES')).toEqual(before);
  });

  it('leaves the next run of a schedule of BullMQ 4, which has a digest in its id', async () => {
    const queue = open('legacy');
    const redis = admin();
    const its = 'receipt::::86400000';
    const time = Date.now() + 86_400_000;
    await redis.zadd('bull:legacy:repeat', time, its);
    const run4 = { delay: 86_400_000, repeatJobKey: its } as object;
    await queue.add('receipt', { n: 1 }, { ...run4, jobId: `repeat:${'a'.repeat(32)}:${time}` });
    await queue.add('receipt', { n: 2 }, { ...run4, jobId: `repeat:${'a'.repeat(32)}:${time - 86_400_000}` });
    expect(await run({ legacy: receipt })).toMatchObject({ imported: 1, left: 0 });
    expect(await recordedNumbers(the.database.db)).toEqual([2]);
  });

  it('refuses a queue of another version by its name, if the map has its jobs', async () => {
    const redis = admin();
    for (const name of ['empty', 'old', 'new']) await open(name).waitUntilReady();
    await open('new').add('receipt', { n: 1 });
    await redis.hset('bull:empty:meta', 'version', 'bullmq:4.18.3');
    expect(await run({ new: receipt })).toMatchObject({ imported: 1, left: 0 });
    await open('old').add('receipt', { n: 2 });
    for (const version of ['bullmq:4.18.3', 'bullmq-pro:7.10.1', 'bullmq:7.0.0']) {
      await redis.hset('bull:old:meta', 'version', version);
      await expect(run({ old: receipt })).rejects.toMatchObject({
        code: 'source_unsupported',
        message: expect.stringContaining(`old: ${version} wrote it`) as string,
      });
    }
    expect(await run({ old: skipped })).toMatchObject({ imported: 0 });
  });

  it('refuses a queue with groups of BullMQ Pro, and counts their jobs', async () => {
    await open('tenants').waitUntilReady();
    const redis = admin();
    await redis.zadd('bull:tenants:groups', 1, 'a', 2, 'b');
    await redis.zadd('bull:tenants:groups:paused', 1, 'c');
    for (const [group, ids] of Object.entries({ a: ['1', '2'], b: ['3'], c: ['4'] }))
      await redis.lpush(`bull:tenants:groups:${group}`, ...ids);
    await expect(run({ tenants: receipt })).rejects.toMatchObject({
      code: 'source_unsupported',
      message: expect.stringContaining('tenants: it has groups of BullMQ Pro') as string,
    });
    await expect(run({ 'tenants/receipt': receipt })).rejects.toMatchObject({
      code: 'queues_unmapped',
      message: expect.stringContaining('tenants: 4 jobs') as string,
    });
    const report = await run({ tenants: skipped });
    expect(report.queues).toMatchObject([{ queue: 'tenants', pending: 4, skip: 'stays' }]);
  });
});
