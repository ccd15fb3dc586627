// Limits and groups with real processes (invariant L). Real: Postgres, pg-boss, relay and workers, some of which are killed. Doubled: nothing.

import { afterEach, expect, it } from 'vitest';
import { limitQueue } from '../../src/operate/limits.ts';
import { pauseQueue, resumeQueue } from '../../src/queues/queues.ts';
import type { NewMessage } from '../../src/message/message.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { until } from '../support/wait.ts';

let world: World | undefined;
afterEach(() => world?.end());

async function start(limits: object, workers: number, env: Readonly<Record<string, string>> = {}) {
  const it = (world = await fleetWorld({
    WAYBILL_APP: 'test/support/flow-app.ts',
    WAYBILL_LEASE: '3s',
    WAYBILL_POLL_INTERVAL: '200ms',
    FLOW_QUEUE: JSON.stringify(limits),
    ...env,
  }));
  await it.database.db.executeSql(
    'create table runs (id serial, message uuid, worker int, grp text, began timestamptz, ended timestamptz)',
  );
  await it.fleet.start('relay');
  const processes = await Promise.all(Array.from({ length: workers }, () => it.fleet.start('jobs')));
  return { ...it, processes };
}

async function record(of: World, count: number, group: string | null = null): Promise<void> {
  const message: NewMessage = {
    kind: 'job',
    name: 'work',
    queue: 'work',
    payload: { group },
    group: group ?? undefined,
  };
  await createPostgresOutbox(of.database.db).enqueue(Array.from({ length: count }, () => message));
}

const delivered = (of: World, count: number) =>
  until(async () => (await of.counts()).delivered === count, {
    what: `${count} delivered`,
    timeoutMs: 60_000,
  });

/** A worker that runs a job now, or 0: which one gets a place is not promised, so a test kills one that has one. */
const workerAtWork = (of: World, killed: readonly number[]) =>
  of.count(
    `select coalesce(min(worker), 0)::int as n from runs where ended is null and worker <> all('{${killed.join()}}')`,
  );

/** The most runs at a time. */
const mostAtOnce = `
  select coalesce(max(n), 0)::int as n from (
    select sum(step) over (order by at, step) as n from (
      select began as at, 1 as step from runs union all select coalesce(ended, 'infinity'), -1 from runs) steps) sums`;

it('L: a concurrency over the fleet is never exceeded while workers are killed, and their places are free after the lease', async () => {
  const flow = await start({ concurrency: 3 }, 4);
  await record(flow, 120);
  const killed: number[] = [];
  while (killed.length < 2) {
    const pid = await until(() => workerAtWork(flow, killed), { what: 'a run of a worker to kill' });
    process.kill(pid, 'SIGKILL');
    killed.push(pid);
  }
  await delivered(flow, 120);
  // A run of a killed worker: its last sign of life is when it began.
  await flow.database.db.executeSql(
    'update runs set ended = began where ended is null and worker = any($1)',
    [killed],
  );
  expect(await flow.count(mostAtOnce)).toBe(3); // never more, and as many as may be
}, 120_000);

it('L: an operator limits a queue while the fleet runs, and lifts it', async () => {
  const flow = await start({}, 3, { FLOW_MS: '100' });
  const { db } = flow.database;
  await record(flow, 400);
  await until(async () => (await flow.count(mostAtOnce)) > 3, { what: 'more than three at once' });
  await limitQueue(db, 'work', { concurrency: 2 }, { by: 'ann', reason: 'their server is slow' });
  await until(
    async () => (await flow.count('select count(*)::int as n from runs where ended is null')) <= 2,
    { what: 'what began before' },
  );
  await db.executeSql('truncate runs');
  await until(
    async () => (await flow.count('select count(*)::int as n from runs where ended is not null')) >= 20,
    { what: '20 runs' },
  );
  expect(await flow.count(mostAtOnce)).toBeLessThanOrEqual(2);
  await limitQueue(db, 'work', { concurrency: null }, { by: 'ann', reason: null });
  await delivered(flow, 400);
}, 120_000);

it('L: a rate of jobs is not exceeded in any second by several processes, one of which is killed', async () => {
  const rate = 20;
  const flow = await start({ rate: { limit: rate, per: '1s' } }, 3, { FLOW_MS: '1' });
  await record(flow, 6 * rate);
  await until(async () => (await flow.count('select count(*)::int as n from runs')) > rate, {
    what: 'a second of runs',
  });
  process.kill(flow.processes[0]!.pid, 'SIGKILL');
  await flow.quiet();
  // The handler is late by what the machine takes for its first statement; the permits themselves are held by test/postgres/rate.test.ts.
  const fullest = `
    select max(n)::int as n from (
      select count(*) over (order by began range between '900 milliseconds' preceding and current row) as n from runs) r`;
  expect(await flow.count(fullest)).toBeLessThanOrEqual(rate);
}, 120_000);

it('takes turns between groups, with a limit for each, and starts slowly after a pause', async () => {
  const flow = await start({ perGroup: { concurrency: 2 } }, 2, { FLOW_MS: '20' });
  const { db } = flow.database;
  await pauseQueue(db, 'work', { by: 'ann', reason: null });
  await record(flow, 300, 'big');
  for (const group of ['a', 'b', 'c']) await record(flow, 3, group);
  await record(flow, 3);
  await resumeQueue(db, 'work');
  await delivered(flow, 312);
  const began = (which: string) =>
    flow.count(
      `select ((extract(epoch from ${which}) - (select extract(epoch from min(began)) from runs)) * 1000)::int as n from runs`,
    );
  // The small groups are through long before the big one.
  expect(await began(`max(began) filter (where grp is distinct from 'big')`)).toBeLessThan(
    0.5 * (await began('max(began)')),
  );
  const most = (group: string) =>
    flow.count(mostAtOnce.replaceAll('from runs', `from runs where grp is not distinct from ${group}`));
  expect(await most(`'big'`)).toBe(2);
  for (const group of [`'a'`, `'b'`, `'c'`, 'null']) expect(await most(group)).toBeLessThanOrEqual(2);
}, 120_000);
