// Plans of what relay and workers ask of lanes, where the statistics are of a moment in which all that there is waits in one of them.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { statements } from '../support/statements.ts';

type Node = {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'Actual Rows': number;
  Plans?: Node[];
};

const waiting = 20_000;

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
  await database.db.executeSql(
    `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, available_at, revision)
     select gen_random_uuid(), 'job', 'n', 'q1', '{}', 5, now() - i * interval '1 ms', 0 from generate_series(1, $1::int) i`,
    [waiting],
  );
  await database.db.executeSql('vacuum analyze waybill.outbox_messages');
});
afterAll(() => database.end());

async function nodesOf(sql: string, values: unknown[]): Promise<Node[]> {
  const explained = database.db.transaction(async (tx) => {
    const { rows } = await tx.executeSql<{ 'QUERY PLAN': [{ Plan: Node }] }>(
      `explain (analyze, timing off, format json) ${sql}`,
      values,
    );
    throw Object.assign(new Error('only explained'), { plan: rows[0]!['QUERY PLAN'][0].Plan });
  });
  const { plan } = await explained.catch((error: Error & { plan: Node }) => error);
  const all = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(all)];
  return all(plan);
}

describe('I: where everything waits in one lane', () => {
  it.each([
    'look',
    'due lanes',
    'claim of a lane',
    'claim of a top lane',
    'relay of a lane',
    'take due',
    'claim what is due',
  ])('%s reads no more of it than it takes', async (name) => {
    const { sql, values } = statements[name]!;
    const nodes = await nodesOf(sql, values([]));
    const ofTable = nodes.filter((node) => node['Relation Name'] === 'outbox_messages');
    expect(ofTable.map((node) => node['Node Type'])).not.toContain('Seq Scan');
    expect(nodes.map((node) => node['Index Name'])).toContain('outbox_waiting');
    for (const node of ofTable) expect(node['Actual Rows']).toBeLessThanOrEqual(waiting / 2);
  });
});
