import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { statements, type Statement } from '../support/statements.ts';

// 100,000 rows: most settled, some waiting, a few in flight. Autovacuum is off, so that statistics are as old as the test says.
const rows = `
  alter table waybill.outbox_messages set (autovacuum_enabled = off);
  insert into waybill.outbox_messages
    (id, kind, name, queue, payload, max_attempts, priority, status, attempts, relayed_at, delivered_at, dead_at, delivery_key,
     claim_token, claimed_by, claimed_at, claimed_until, available_at)
  select gen_random_uuid(), 'job', 'n' || i % 7, 'q' || i % 3, '{}', 5, i % 2,
    s, case when s = 'pending' then 0 else 1 end,
    case when s = 'pending' and i % 20 <> 0 then null else now() - interval '1 minute' end,
    case when s = 'delivered' then now() end, case when s = 'dead' then now() end, 'k' || i,
    case when s = 'sending' then gen_random_uuid() end, case when s = 'sending' then 'w' end,
    case when s = 'sending' then now() end, case when s = 'sending' then now() + interval '1 minute' end,
    now() + case when i % 11 = 0 then interval '1 day' else interval '0' end
  from generate_series(1, 100000) i,
    lateral (select case when i % 100 < 90 then 'delivered' when i % 100 < 97 then 'pending'
                         when i % 100 = 98 and i % 10 = 8 then 'dead' else 'sending' end as s) x;`;

// And a month of runs of a thousand cron jobs: a few go on, a few are not told yet.
const cronRows = `
  alter table waybill.cron_runs set (autovacuum_enabled = off);
  alter table waybill.cron_jobs set (autovacuum_enabled = off);
  insert into waybill.cron_runs (id, name, action, source, scheduled_at, status, finished_at, manifest, message_id, told)
  select gen_random_uuid(), 'n' || i % 1000, 'a', 'cron', now() - i * interval '1 minute',
    case when i % 1000 = 0 then 'dispatched' else 'succeeded' end, case when i % 1000 <> 0 then now() end, 'm',
    gen_random_uuid(), i % 500 <> 1
  from generate_series(1, 100000) i;
  insert into waybill.cron_jobs (name, manifest, definition, cursor_at, next_at)
  select 'n' || i, 'm', '{"overlap":"skip"}', now(), now() + i * interval '1 second' from generate_series(1, 10000) i;`;

type Node = { 'Node Type': string; 'Relation Name'?: string; 'Index Name'?: string; Plans?: Node[] };

const all = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(all)];

let database: TestDatabase;
let ids: string[];

beforeAll(async () => {
  database = await testDatabase();
  await database.fill(...rows.split(';'), ...cronRows.split(';'));
  const sql = `select id from waybill.outbox_messages where status = 'sending' limit 25`;
  ids = (await database.db.executeSql<{ id: string }>(sql)).rows.map((row) => row.id);
});
afterAll(() => database.end());

async function planOf(
  { sql, values, begin }: Statement,
  of: readonly string[],
): Promise<Node & { 'Total Cost': number }> {
  const { rows: plan } = await database.db.transaction(
    (tx) =>
      tx.executeSql<{
        'QUERY PLAN': [{ Plan: Node & { 'Total Cost': number } }];
      }>(`explain (format json) ${sql}`, values(of)),
    begin,
  );
  return plan[0]!['QUERY PLAN'][0].Plan;
}

/** What runs on connections of the application: there `jit` may be on, and its default threshold decides. */
const onTheirs = [
  'record one',
  'record one with a key',
  'record',
  'holders',
  'record with replace',
  'end older messages',
  'take free keys',
  'due',
  'claim of some',
  'claim a suspect',
  'settle',
  'settle what is delivered',
  'settle what is delivered, of several claims',
  'settle what is delivered, with messages and notes',
  'extend',
  'expire leases',
  'cancel',
  'lock key',
  'take key',
  'kept answer',
  'keep answer',
];

describe.each(['stale', 'current'])('I: plans with %s statistics', (statistics) => {
  beforeAll(async () => {
    if (statistics !== 'current') return;
    for (const table of ['outbox_messages', 'cron_runs', 'cron_jobs'])
      await database.db.executeSql(`analyze waybill.${table}`);
  });

  it.each(Object.entries(statements))('%s', async (_, statement) => {
    const nodes = all(await planOf(statement, ids));
    const scans = nodes.filter(
      (n) =>
        n['Node Type'] === 'Seq Scan' && ['outbox_messages', 'cron_runs'].includes(n['Relation Name'] ?? ''),
    );
    expect(scans, 'sequential scans of the outbox or of the runs').toEqual([]);
    const used = new Set(nodes.map((n) => n['Index Name']));
    for (const index of statement.uses) expect(used, 'indexes of the plan').toContain(index);
  });

  it.each(onTheirs)("%s costs too little to be compiled on the application's connection", async (name) => {
    expect((await planOf(statements[name]!, ids))['Total Cost']).toBeLessThan(100_000);
  });
});
