// Parts of pg-boss's schema go while a real fleet runs, or before it starts: each message that was committed is delivered all the same, and the
// schema is there again.

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import type { Running } from '../support/fleet.ts';
import { until } from '../support/wait.ts';

let world: World;
let running: Running[] = [];
beforeAll(async () => {
  world = await fleetWorld();
});
afterEach(async () => {
  await Promise.all(running.map((process) => process.stop()));
  running = [];
});
afterAll(() => world.end());

async function start(): Promise<void> {
  running = [await world.fleet.start('relay'), await world.fleet.start('jobs')];
}

/** Of what pg-boss has: the schema is whole again when each of these is there. */
const parts = `
  select count(*)::int as n from unnest('{pgboss.job,pgboss.queue,pgboss.version,pgboss.job_common}'::text[]) t(name)
   where to_regclass(name) is not null`;
const queueOfJobs = `select count(*)::int as n from pgboss.queue where name = 'jobs'`;

const breaks: readonly (readonly [string, string])[] = [
  ['the table of jobs', 'drop table pgboss.job cascade'],
  ['the table of queues', 'drop table pgboss.queue cascade'],
  ['a partition', 'drop table pgboss.job_common cascade'],
  ['a queue', `select pgboss.delete_queue('jobs')`],
  ['the row of a queue', `delete from pgboss.queue where name = 'jobs'`],
  ['a column', 'alter table pgboss.job drop column priority cascade'],
  ['the version', 'delete from pgboss.version'],
  ['the table of the version', 'drop table if exists pgboss.version'],
  ['a type', 'drop type pgboss.job_state cascade'],
  ['the schema', 'drop schema pgboss cascade'],
  [
    'a function',
    `do $$ declare f regprocedure; begin
       for f in select oid::regprocedure from pg_proc where pronamespace = 'pgboss'::regnamespace loop execute 'drop function ' || f || ' cascade'; end loop; end $$`,
  ],
];

async function breakIt(sql: string): Promise<void> {
  const remove = async (): Promise<boolean> => {
    await world.database.db.executeSql(sql); // again, when it is the one that a deadlock ends
    return true;
  };
  await until(remove, { what: sql });
}

async function delivered(ids: readonly string[]): Promise<void> {
  await world.quiet(60_000);
  const marks = await world.marks('work');
  expect(ids.filter((id) => !marks.has(id))).toEqual([]);
}

/** @param busy more work: while workers claim all of it at once, nothing needs pg-boss, and a missing part is not noticed */
async function isWhole(busy?: () => Promise<readonly string[]>): Promise<void> {
  const is = async (sql: string, n: number): Promise<boolean> => {
    if ((await world.count(sql)) === n) return true;
    if (busy) await delivered(await busy());
    return false;
  };
  await until(() => is(parts, 4), { what: 'the whole schema' });
  await until(() => is(queueOfJobs, 1), { what: 'the queue jobs' });
}

describe.each(breaks)('G5: %s of pg-boss goes', (what, sql) => {
  it('while the fleet runs, and after it: everything is delivered', async () => {
    await start();
    const before = await world.enqueue('work', { ms: 20 }, 40);
    await breakIt(sql);
    const after = await world.enqueue('work', { ms: 5 }, 50);
    const failing = await world.enqueue('flaky', { failures: 1 }, 3);
    await delivered([...before, ...after]);
    expect(failing.length).toBe(3);
    // Nothing on the way of a message asks for the version: the next start does.
    if (!what.includes('version')) await isWhole(() => world.enqueue('work', { ms: 20 }, 40));
    await Promise.all(running.map((process) => process.stop()));
    await breakIt(sql);
    const waiting = await world.enqueue('work', { ms: 5 }, 50);
    await start();
    await delivered(waiting);
    await isWhole();
    expect((await world.counts()).dead ?? 0).toBe(0);
  });
});

describe('G5: the database of pg-boss (QUEUE_DATABASE_URL) is away', () => {
  let queue: TestDatabase;
  let apart: World;
  beforeAll(async () => {
    queue = await testDatabase({ migrated: false });
    apart = await fleetWorld({ QUEUE_DATABASE_URL: queue.url });
  });
  afterAll(async () => {
    await allow(true);
    await apart.end();
    await queue.end();
  });
  const name = (): string => new URL(queue.url).pathname.slice(1);
  const allow = (isAllowed: boolean) =>
    apart.database.db.executeSql(`alter database ${name()} with allow_connections ${isAllowed}`);

  it('workers claim straight from the outbox, retries and limited jobs too', async () => {
    for (const role of ['relay', 'jobs'] as const) await apart.fleet.start(role);
    const first = await apart.enqueue('work', { ms: 5 }, 20);
    await apart.quiet();
    await allow(false);
    const ended =
      'select count(pg_terminate_backend(pid))::int as n from pg_stat_activity where datname = $1';
    await apart.count(ended, [name()]);
    const second = await apart.enqueue('work', { ms: 5 }, 50);
    await apart.enqueue('flaky', { failures: 1 }, 3);
    await apart.enqueue('narrow', { ms: 5 }, 6, { queue: 'narrow' });
    await apart.quiet(60_000);
    const marks = await apart.marks('work');
    expect([...first, ...second].filter((id) => !marks.has(id))).toEqual([]);
    expect(await apart.counts()).toEqual({ delivered: 79 });
  });
});
