import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { manifestOf, stageManifest } from '../../src/cron/manifest.ts';
import { runByHand } from '../../src/cron/manual.ts';
import { listRuns } from '../../src/cron/history.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { waybill } from '../support/command.ts';
import { cronApp, cronEnv, ticksTable, type MarkJob } from '../support/cron-app.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testFleet, type Running, type TestFleet } from '../support/fleet.ts';
import { until } from '../support/wait.ts';

let database: TestDatabase;
let fleet: TestFleet;
beforeEach(async () => {
  database = await testDatabase();
  await database.db.executeSql(ticksTable);
  fleet = testFleet({ DATABASE_URL: database.url, WAYBILL_LEASE: '2s', WAYBILL_POLL_INTERVAL: '200ms' });
});
afterEach(async () => {
  await fleet.end();
  const { findings } = await verifyOutbox(database.db);
  await database.end();
  expect(findings).toEqual([]);
});

async function rows<Row>(sql: string, values: unknown[] = []): Promise<Row[]> {
  return (await database.db.executeSql<Row>(sql, values)).rows;
}
const stage = (jobs: readonly MarkJob[]): Promise<unknown> =>
  stageManifest(database.db, manifestOf(cronApp(jobs)));
const active = (jobs: readonly MarkJob[]): Promise<unknown> => {
  const { hash } = manifestOf(cronApp(jobs));
  return until(
    async () =>
      (await rows(`select from waybill.cron_manifests where hash = $1 and status = 'active'`, [hash]))
        .length === 1,
    { what: 'the manifest to be active', timeoutMs: 40_000 },
  );
};
const marks = (): Promise<{ version: string; pid: number }[]> => rows('select version, pid from ticks');

describe('many schedulers', () => {
  it('G: ten of them, killed at random: each of a thousand ticks is dispatched exactly once, none is missing', async () => {
    const jobs = Array.from({ length: 250 }, (_, i) => ({
      name: `job-${i}`,
      schedule: '* * * * *',
      missedTickPolicy: 'all' as const,
    }));
    await stage(jobs);
    const env = cronEnv(jobs);
    const running: Running[] = [await fleet.start('scheduler', env)];
    await active(jobs);
    await rows(`update waybill.cron_jobs set next_at = now() + interval '1 day'`); // until its wave comes
    running.push(...(await Promise.all(Array.from({ length: 9 }, () => fleet.start('scheduler', env)))));

    const from = new Map<string, number>();
    let killed = 0;
    const released = { done: false };
    const killing = (async () => {
      while (!released.done || killed < 10) {
        const [victim] = running.splice(Math.floor(Math.random() * running.length), 1);
        victim?.kill('SIGKILL');
        await victim?.ended;
        killed++;
        running.push(await fleet.start('scheduler', env));
      }
    })();
    for (let wave = 0; wave < 50; wave++) {
      // Four minutes were missed by five jobs: twenty ticks are due now, and each minute of the test adds its own.
      const due = await rows<{ name: string; cursor: Date }>(
        `update waybill.cron_jobs set cursor_at = date_trunc('minute', now()) - interval '4 minutes',
           next_at = date_trunc('minute', now()) - interval '3 minutes'
          where name = any($1) returning name, cursor_at as cursor`,
        [jobs.slice(wave * 5, wave * 5 + 5).map(({ name }) => name)],
      );
      for (const { name, cursor } of due) from.set(name, cursor.getTime());
      await rows('notify waybill_cron');
      await sleep(Math.random() * 300); // the kills come at any moment of a pass
    }
    released.done = true;
    await killing;
    const overdue = `select from waybill.cron_jobs where next_at <= now()`;
    await until(async () => (await rows(overdue)).length === 0, { what: 'nothing to be due' });
    await fleet.end();

    const ends = await rows<{ name: string; cursor: Date }>(
      'select name, cursor_at as cursor from waybill.cron_jobs',
    );
    const runs = await rows<{ name: string; tick: Date; skipped: number; message: string | null }>(
      `select r.name, scheduled_at as tick, skipped_ticks as skipped, m.id as message
         from waybill.cron_runs r left join waybill.outbox_messages m on m.id = r.message_id`,
    );
    const expected = ends.flatMap(({ name, cursor }) => {
      const ticks: string[] = [];
      for (let tick = from.get(name)! + 60_000; tick <= cursor.getTime(); tick += 60_000)
        ticks.push(`${name} ${tick}`);
      return ticks;
    });
    expect(runs.map(({ name, tick }) => `${name} ${tick.getTime()}`).toSorted()).toEqual(expected.toSorted());
    expect(runs.length).toBeGreaterThanOrEqual(1_000);
    expect(new Set(runs.map(({ message }) => message)).size).toBe(runs.length);
    expect(runs.every(({ message, skipped }) => message !== null && skipped === 0)).toBe(true);
    expect(killed).toBeGreaterThanOrEqual(10);
  }, 180_000);
});

describe('on the real clock', () => {
  it('H: a tick of the coming minute is dispatched, run by a worker, and ends as succeeded', async () => {
    const jobs = [{ name: 'minutely', schedule: '* * * * *' }];
    const env = cronEnv(jobs);
    expect((await waybill(['release'], { DATABASE_URL: database.url, ...env })).code).toBe(0);
    for (const role of ['relay', 'jobs', 'scheduler'] as const) await fleet.start(role, env);
    await active(jobs);
    const run = await until(async () => (await listRuns(database.db, { status: ['succeeded'] })).runs[0], {
      what: 'the coming minute',
      timeoutMs: 90_000,
    });
    expect((run.scheduledAt as Date).getTime() % 60_000).toBe(0);
    expect((run.dispatchedAt as Date).getTime()).toBeGreaterThanOrEqual((run.scheduledAt as Date).getTime());
    expect(run).toMatchObject({
      source: 'cron',
      skippedTicks: 0,
      result: { pid: expect.any(Number) as number },
    });
    console.log(
      `dispatched ${(run.dispatchedAt as Date).getTime() - (run.scheduledAt as Date).getTime()} ms after its time`,
    );
  }, 150_000);
});

describe('rolling deploys', () => {
  const yearly = { name: 'yearly', schedule: '0 0 1 1 *' };
  const one: MarkJob[] = [{ ...yearly, args: { version: 'one' } }];
  const two: MarkJob[] = [{ ...yearly, args: { version: 'two' } }];
  const byHand = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await runByHand(database.db, 'yearly', null);
    await rows('notify waybill_outbox');
  };
  const release = async (jobs: readonly MarkJob[]): Promise<void> =>
    expect((await waybill(['release'], { DATABASE_URL: database.url, ...cronEnv(jobs) })).code).toBe(0);

  it('ticks run in workers of their own version alone; a rollback brings the older one back', async () => {
    await release(one);
    await fleet.start('relay', cronEnv(one));
    const [first, firstScheduler] = [
      await fleet.start('jobs', cronEnv(one)),
      await fleet.start('scheduler', cronEnv(one)),
    ];
    await active(one);
    await byHand(5);
    await until(async () => (await marks()).length === 5, { what: 'five ticks of version one' });

    await release(two);
    await active(one); // nobody runs the second yet
    const [second] = [await fleet.start('jobs', cronEnv(two)), await fleet.start('scheduler', cronEnv(two))];
    await active(two);
    await byHand(20);
    // Two schedulers of two versions, and a tick that is due.
    await rows(`update waybill.cron_jobs set cursor_at = now() - interval '1 year', next_at = now()`);
    await rows('notify waybill_cron');
    await until(async () => (await marks()).length === 26, {
      what: 'the ticks of version two',
      timeoutMs: 40_000,
    });
    const ran = await marks();
    expect(ran.filter(({ version }) => version === 'one').map(({ pid }) => pid)).toEqual(
      Array(5).fill(first.pid),
    );
    expect(ran.filter(({ version }) => version === 'two').map(({ pid }) => pid)).toEqual(
      Array(21).fill(second!.pid),
    );
    const [ticks] = await rows(`select count(*)::int as n from waybill.cron_runs where source = 'cron'`);
    expect(ticks).toEqual({ n: 1 });

    await release(one); // the older processes still run, and report that they are ready
    await active(one);
    await byHand(3);
    await until(async () => (await marks()).length === 29, {
      what: 'ticks of version one again',
      timeoutMs: 40_000,
    });
    expect(
      (await marks()).filter(({ version }) => version === 'one').every(({ pid }) => pid === first.pid),
    ).toBe(true);
    expect([await first.stop(), await firstScheduler.stop()]).toEqual([0, 0]);
  }, 150_000);

  it('a worker that dies while it runs a tick: another one runs it, and the run ends once', async () => {
    const slow: MarkJob[] = [{ ...yearly, args: { version: 'slow', ms: 1_500 } }];
    await release(slow);
    await fleet.start('relay', cronEnv(slow));
    const first = await fleet.start('jobs', cronEnv(slow));
    await active(slow);
    await byHand(1);
    await until(
      async () => (await rows(`select from waybill.outbox_messages where status = 'sending'`)).length === 1,
      { what: 'the tick to be under way' },
    );
    first.kill('SIGKILL');
    const second = await fleet.start('jobs', cronEnv(slow));
    const run = await until(async () => (await listRuns(database.db, { status: ['succeeded'] })).runs[0], {
      what: 'the end of the run',
      timeoutMs: 30_000,
    });
    expect(run.result).toEqual({ pid: second.pid });
    expect(await marks()).toEqual([{ version: 'slow', pid: second.pid }]);
  }, 90_000);
});
