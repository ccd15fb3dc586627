// Rows beside the outbox that somebody edits by hand: what would make a list, the scheduler or the advice fail for all is refused.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { readStats } from '../../src/operate/stats.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.end());

it.each([
  `insert into waybill.cron_jobs (name, manifest, definition, cursor_at, next_at) values ('a', 'x', 'null', now(), now())`,
  `insert into waybill.cron_jobs (name, manifest, definition, cursor_at, next_at) values ('a', 'x', '"x"', now(), now())`,
  `insert into waybill.cron_jobs (name, manifest, definition, cursor_at, next_at) values ('a', 'x', '{}', 'infinity', now())`,
  `insert into waybill.cron_jobs (name, manifest, definition, cursor_at, next_at) values ('a', 'x', '{}', now(), '-infinity')`,
  `insert into waybill.queue_permits (queue, n, free_at) values ('a', 1, 'infinity')`,
  `insert into waybill.queue_permits (queue, n, slot_at) values ('a', 1, '-infinity')`,
  `insert into waybill.autoscale (queue, recommended, exact, facts, state, decided_at) values ('q', 1, 1, '{}', '{}', 'infinity')`,
  `insert into waybill.cron_manifests (hash, jobs) values ('x', '"x"')`,
  `insert into waybill.cron_runs (id, name, action, source, scheduled_at, dispatched_at, manifest) values (gen_random_uuid(), 'n', 'a', 'cron', now(), 'infinity', 'x')`,
  `update waybill.queues set held_until = 'infinity'`,
  `update waybill.queues set paused_at = '-infinity'`,
  `update waybill.queues set app_limits = '{"rate": {"limit": -1}}'`,
  `update waybill.queues set operator_limits = '{"concurrency": 1e11}'`,
  `insert into waybill.queue_groups (queue, group_key, paused_until) values ('jobs', 'g', 'infinity')`,
  `insert into waybill.processes (id, role, host, pid, version, heartbeat_at) values ('x', 'jobs', 'h', 1, '', 'infinity')`,
  `insert into waybill.processes (id, role, host, pid, version, started_at) values ('x', 'jobs', 'h', 1, '', 'infinity')`,
  `insert into waybill.counters (name, labels, value) values ('n', '"x"', 5)`,
  `insert into waybill.counters (name, labels, value) values ('n', '{}', 'NaN')`,
  `insert into waybill.counters (name, labels, value) values ('n', '{}', 'Infinity')`,
  `insert into waybill.autoscale (queue, recommended, exact, facts, state) values ('q', 1, 'NaN', '{}', '{}')`,
  `insert into waybill.autoscale (queue, recommended, exact, facts, state) values ('q', 1, 1, '{}', 'null')`,
  `update waybill.autoscale_turn set capacities = 'null'`,
  `update waybill.autoscale_turn set at = 'infinity'`,
])('refused: %s', async (sql) => {
  await expect(database.db.executeSql(sql)).rejects.toMatchObject({ code: '23514' });
});

it('books with more messages than an integer holds are counted', async () => {
  await database.db.executeSql(
    `insert into waybill.outbox_audit (kind, outcome, recorded) values ('job', 'delivered', 5000000000)`,
  );
  expect((await readStats(database.db)).byStatus.delivered).toBe(5_000_000_000);
});
