// What an import from BullMQ makes of jobs that BullMQ and its application go on with: deduplicated ones, runs of schedulers, jobs that are moved meanwhile.
// Real: BullMQ with its workers, Redis, Postgres. Doubled: the moment at which others act is between two steps of the source.

import type { Queue } from 'bullmq';
import { describe, expect, it } from 'vitest';
import type { Source } from '../../src/transfer/source.ts';
import { bullmqImports } from '../support/bullmq-imports.ts';
import { receipt, recordedNumbers } from '../support/importing.ts';
import { hasRedis } from '../support/redis.ts';

const hour = 3_600_000;
const retried = { attempts: 3, backoff: { type: 'fixed', delay: hour } };

describe.skipIf(!hasRedis)('an import from BullMQ, which goes on meanwhile', () => {
  const { the, open, fetched, admin, run } = bullmqImports();
  const ids = async (queue: Queue): Promise<(string | undefined)[]> =>
    (await queue.getJobs(['wait', 'delayed', 'prioritized'])).map(({ id }) => id);
  /** Something happens once, after jobs were read and before they are taken. */
  const meanwhile =
    (acts: () => Promise<unknown>) =>
    (source: Source): Source => {
      let isOver = false;
      return {
        ...source,
        move: (walk, handling) =>
          source.move(walk, {
            ...handling,
            async choose(jobs) {
              if (!isOver && jobs.length > 0) await acts();
              isOver ||= jobs.length > 0;
              return handling.choose(jobs);
            },
          }),
      };
    };

  it('leaves a job behind which BullMQ keeps the next one of its deduplication', async () => {
    const queue = open('latest');
    const deduplication = { id: 'u1', keepLastIfActive: true };
    await queue.add('receipt', { n: 1 }, { deduplication, ...retried });
    const active = await fetched('latest');
    await queue.add('receipt', { n: 2 }, { deduplication });
    await active.moveToFailed(new Error('no'), 'token', false);
    expect(await queue.getDelayedCount()).toBe(1);
    const report = await run({ latest: receipt });
    expect(report).toMatchObject({ imported: 0, left: 0, queues: [{ pending: 0, inFlows: 1 }] });
    await active.promote();
    await (await fetched('latest')).moveToCompleted('', 'token', false);
    expect(await run({ latest: receipt })).toMatchObject({ imported: 1, left: 0 });
    expect(await recordedNumbers(the.database.db)).toEqual([2]);
  });

  it('keeps a job for which the next one of its deduplication came in after it was read', async () => {
    const queue = open('latest');
    const deduplication = { id: 'u1', keepLastIfActive: true };
    await queue.add('receipt', { n: 1 }, { deduplication, ...retried });
    const fails = async (): Promise<void> => {
      const active = await fetched('latest');
      await queue.add('receipt', { n: 2 }, { deduplication });
      await active.moveToFailed(new Error('no'), 'token', false);
    };
    const report = await run({ latest: receipt }, { around: meanwhile(fails) });
    expect(report).toMatchObject({ imported: 0, left: 0 });
    expect(await admin().exists('bull:latest:dn:u1')).toBe(1);
  });

  it('lets the time of a deduplication go on, as the end of a job does', async () => {
    const queue = open('throttled');
    await queue.add('receipt', { n: 1 }, { deduplication: { id: 'd1', ttl: hour } });
    await queue.add('receipt', { n: 2 }, { deduplication: { id: 'd2' } });
    expect(await run({ throttled: receipt })).toMatchObject({ imported: 2 });
    await queue.add('receipt', { n: 3 }, { deduplication: { id: 'd1', ttl: hour } });
    await queue.add('receipt', { n: 4 }, { deduplication: { id: 'd2' } });
    expect(await run({ throttled: receipt })).toMatchObject({ imported: 1 });
    expect(await recordedNumbers(the.database.db)).toEqual([1, 2, 4]);
  });

  it('takes a run of a scheduler that waits for its retry, and leaves the next one', async () => {
    const queue = open('ticks');
    const template = { name: 'receipt', data: { n: 1 }, opts: retried };
    await queue.upsertJobScheduler('nightly', { every: hour }, template);
    const tick = await fetched('ticks');
    await tick.moveToFailed(new Error('no'), 'token', false);
    expect(await queue.getDelayedCount()).toBe(2);
    const report = await run({ ticks: receipt });
    expect(report).toMatchObject({ imported: 1, left: 0, schedules: [{ name: 'ticks/nightly' }] });
    const left = await ids(queue);
    expect(left).toHaveLength(1);
    expect(left).not.toContain(tick.id);
  });

  it('takes a run that waits when its scheduler was removed', async () => {
    const queue = open('removed');
    await queue.upsertJobScheduler('nightly', { every: hour }, { name: 'receipt', data: { n: 1 } });
    await fetched('removed').then((job) => job.moveToDelayed(Date.now() + hour, 'token'));
    await queue.removeJobScheduler('nightly');
    expect(await run({ removed: receipt })).toMatchObject({ imported: 1, left: 0, schedules: [] });
  });

  it.each<[string, (queue: Queue) => Promise<unknown>, object]>([
    [
      'whose time was moved',
      async (queue) => (await queue.getJob('a'))!.changeDelay(48 * hour),
      { later: true },
    ],
    [
      'whose deduplication moved its time',
      (queue) =>
        queue.add('receipt', {}, { delay: 48 * hour, deduplication: { id: 'd', reschedule: true } as never }),
      { later: true },
    ],
    [
      'of which an attempt failed',
      async (queue) => {
        await (await queue.getJob('a'))!.promote();
        const its = await fetched(queue.name);
        await its.moveToFailed(new Error('no'), 'token', false);
        await its.changeDelay(hour);
      },
      { attempts: 2 },
    ],
  ])('reads a job again %s between reading and taking', async (_, acts, expected) => {
    const queue = open('moved');
    const deduplication = { id: 'd' };
    await queue.add('receipt', { n: 1 }, { jobId: 'a', delay: hour, deduplication, ...retried });
    const report = await run({ moved: receipt }, { around: meanwhile(() => acts(queue)) });
    expect(report).toMatchObject({ imported: 1, left: 0, held: 0 });
    const sql = `select max_attempts as attempts, available_at > now() + interval '2 hours' as later from waybill.outbox_messages`;
    const { rows } = await the.database.db.executeSql(sql);
    expect(rows).toEqual([{ attempts: 3, later: false, ...expected }]);
  });

  it('takes jobs that moved to the front while a walk went by', async () => {
    const queue = open('front');
    for (let n = 0; n < 10; n++) await queue.add('receipt', { n: 'misfit' });
    for (let n = 0; n < 5; n++) await queue.add('receipt', { n });
    let isOver = false;
    const around = (source: Source): Source => ({
      ...source,
      async move(walk, handling) {
        const moved = await source.move(walk, handling);
        if (!isOver && moved.read === 10) for (let i = 0; i < 5; i++) await fetched('front');
        isOver ||= moved.read === 10;
        return moved;
      },
    });
    expect(await run({ front: receipt }, { around })).toMatchObject({ imported: 5, left: 5 });
    expect(await recordedNumbers(the.database.db)).toEqual([0, 1, 2, 3, 4]);
  });
});
