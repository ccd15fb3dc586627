// Plans of bulk acts on 100,000 messages, with statistics that are older than most of them, and with current ones.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { batchSql, beginBatch, firstFloorSql, stretchLength } from '../../src/operate/bulk-batch.ts';
import { beginPreview, previewSql } from '../../src/operate/bulk-preview.ts';
import { taskOf, type BulkAction } from '../../src/operate/bulk-task.ts';
import { parseFilter } from '../../src/operate/filter.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

type Node = {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly Node[];
};

const rows = 100_000;
/** Of them wait, every twentieth, and one in 200 is dead. */
const waiting = rows / 20;

let database: TestDatabase;
let newest: string;
beforeAll(async () => {
  database = await testDatabase();
  await database.fill(
    'alter table waybill.outbox_messages set (autovacuum_enabled = off)',
    'analyze waybill.outbox_messages',
    `insert into waybill.outbox_messages
       (id, kind, name, queue, payload, max_attempts, status, attempts, relayed_at, delivered_at, dead_at, delivery_key, revision)
     select (lpad(to_hex(1700000000000 + i), 12, '0') || '7000' || '8' || lpad(to_hex(i), 15, '0'))::uuid, 'job', 'n' || i % 7, 'q' || i % 3, '{}', 5, s,
       case when s = 'pending' then 0 else 1 end, case when s <> 'pending' then now() end,
       case when s = 'delivered' then now() end, case when s = 'dead' then now() end, 'k' || i, 0
     from generate_series(1, ${rows}) i,
       lateral (select case when i % 20 = 0 then 'pending' when i % 200 = 1 then 'dead' else 'delivered' end as s) x`,
  );
  const { rows: found } = await database.db.executeSql<{ id: string }>(
    'select id::text as id from waybill.outbox_messages order by id desc limit 1',
  );
  newest = found[0]!.id;
});
afterAll(() => database.end());

const all = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(all)];

/** Runs the statement, and undoes it. @returns the nodes that read messages */
async function readsOf(begin: string, sql: string, values: unknown[]): Promise<Node[]> {
  const explained = database.db.transaction(async (tx) => {
    const { rows: plan } = await tx.executeSql<{ 'QUERY PLAN': [{ Plan: Node }] }>(
      `explain (analyze, timing off, format json) ${sql}`,
      values,
    );
    throw Object.assign(new Error('only explained'), { plan: plan[0]!['QUERY PLAN'][0].Plan });
  }, begin);
  const { plan } = await explained.catch((error: Error & { plan: Node }) => error);
  return all(plan).filter((node) => node['Relation Name'] === 'outbox_messages');
}

const readRows = (node: Node): number =>
  (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'];

const task = (action: BulkAction, texts: Parameters<typeof parseFilter>[0]) =>
  taskOf(action, parseFilter(texts), { due: new Date(Date.now() + 3_600_000) });

const tasks = [
  ['cancel by name', task('cancel', { name: 'n1' })],
  ['cancel by queue', task('cancel', { queue: 'q1' })],
  ['retry by error', task('retry', { status: 'dead', errorContains: 'x' })],
  ['retry of a queue', task('retry', { queue: 'q1' })],
  ['hold by name', task('hold', { name: 'n1' })],
  ['reschedule by kind', task('reschedule', { kind: 'job' })],
] as const;

describe.each(['stale', 'current'])('I: with %s statistics', (statistics) => {
  beforeAll(async () => {
    if (statistics === 'current') await database.db.executeSql('analyze waybill.outbox_messages');
  });

  it.each(tasks)('a batch of %s reads no more than its stretch', async (_, its) => {
    const { rows: floor } = await database.db.executeSql<{ id: string }>(firstFloorSql, [newest]);
    const since = new Date().toISOString();
    const walk = { newest, reached: null, since };
    const { text, values } = batchSql(its, { walk, floor: floor[0]!.id }, 500);
    const reads = await readsOf(beginBatch, text, values);
    expect(reads.map((node) => node['Node Type'])).not.toContain('Seq Scan');
    for (const node of reads) expect(readRows(node)).toBeLessThanOrEqual(stretchLength + 1);
  });

  it('the end of a stretch is found in the primary key alone', async () => {
    const reads = await readsOf(beginBatch, firstFloorSql, [newest]);
    expect(reads.map((node) => node['Index Name'])).toEqual(['outbox_messages_pkey']);
    expect(readRows(reads[0]!)).toBeLessThanOrEqual(stretchLength + 1);
  });

  it.each(tasks)('the preview of %s reads only messages in its states', async (_, its) => {
    const { text, values } = previewSql(its);
    const reads = await readsOf(beginPreview, text, values);
    expect(reads.map((node) => node['Node Type'])).not.toContain('Seq Scan');
    for (const node of reads) expect(readRows(node)).toBeLessThanOrEqual(waiting);
  });
});
