import { afterAll, beforeAll, expect, it } from 'vitest';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { dropQueue, until } from '../support/wait.ts';

// pg-boss in a database of its own: relaying is at least once, and the claim makes it harmless.
let world: World;
let queue: TestDatabase;
beforeAll(async () => {
  queue = await testDatabase({ migrated: false });
  world = await fleetWorld({ QUEUE_DATABASE_URL: queue.url });
});
afterAll(async () => {
  await world.end();
  await queue.end();
});

const boss = `select count(*)::int as n from pg_namespace where nspname = 'pgboss'`;

it('B: with QUEUE_DATABASE_URL everything is delivered once, and the application holds nothing of pg-boss', async () => {
  await world.fleet.start('relay');
  await world.fleet.start('jobs');
  await world.enqueue('work', { ms: 5 }, 300);
  await world.quiet();
  expect(await world.counts()).toEqual({ delivered: 300 });
  expect([...(await world.marks('work')).values()].every((n) => n === 1)).toBe(true);
  expect(await world.count(boss)).toBe(0);
  expect((await queue.db.executeSql<{ n: number }>(boss)).rows).toEqual([{ n: 1 }]);
});

it('B: the same when the queue database loses everything in mid-flight', async () => {
  await world.enqueue('work', { ms: 20 }, 200);
  await until(async () => (await world.marks('work')).size > 320, { what: 'work under way' });
  await dropQueue(queue.db);
  await world.quiet();
  expect(await world.counts()).toEqual({ delivered: 500 });
});
