// Plans of what relay and workers ask of what waits, where the statistics are of a moment in which all of it waits in one queue.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase, type Database } from '../../src/db/pool.ts';
import { byIndexAlone } from '../../src/db/prepared.ts';
import { claimWaiting } from '../../src/outbox/claim.ts';
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
let planned: Database;
/** Asked while nothing waited, and often enough to keep its plan. */
const claim = { queue: 'q1', priority: 0, limit: 100, leaseMs: 60_000, workerId: 'w' };
beforeAll(async () => {
  database = await testDatabase();
  await database.db.executeSql('analyze waybill.outbox_messages');
  const settings = { url: database.url, max: 1, applicationName: 'planned', onIdleError: () => undefined };
  planned = openDatabase({ ...settings, planning: byIndexAlone });
  for (let i = 0; i < 3; i++) expect(await claimWaiting(planned, claim)).toEqual([]);
  await database.db.executeSql(
    `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, available_at, revision)
     select gen_random_uuid(), 'job', 'n', 'q1', '{}', 5, now() - i * interval '1 ms', 0 from generate_series(1, $1::int) i`,
    [waiting],
  );
  beside = await explainedBySession();
  await database.db.executeSql('vacuum analyze waybill.outbox_messages');
});
afterAll(async () => {
  await planned.end();
  await database.end();
});

let beside: { readonly nodes: Node[]; readonly generic: number };

/** The claim as that session runs it, before anybody has looked at the table anew. */
async function explainedBySession(): Promise<typeof beside> {
  const [kept] = (
    await planned.executeSql<{ name: string; generic: number }>(
      'select name, generic_plans::int as generic from pg_prepared_statements',
    )
  ).rows;
  const sql = `explain (analyze, timing off, format json) execute ${kept!.name}(100, 'q1', 0, 60000, 'w', 100, null)`;
  const { rows } = await planned.executeSql<{ 'QUERY PLAN': [{ Plan: Node }] }>(sql);
  return { nodes: all(rows[0]!['QUERY PLAN'][0].Plan), generic: kept!.generic };
}

const all = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(all)];

async function nodesOf(sql: string, values: unknown[]): Promise<Node[]> {
  const explained = database.db.transaction(async (tx) => {
    const { rows } = await tx.executeSql<{ 'QUERY PLAN': [{ Plan: Node }] }>(
      `explain (analyze, timing off, format json) ${sql}`,
      values,
    );
    throw Object.assign(new Error('only explained'), { plan: rows[0]!['QUERY PLAN'][0].Plan });
  });
  const { plan } = await explained.catch((error: Error & { plan: Node }) => error);
  return all(plan);
}

describe('I: where everything waits in one queue', () => {
  it.each(['check', 'due', 'count what is due', 'claim', 'claim of some', 'claim a probe'])(
    '%s reads no more of it than it takes',
    async (name) => {
      const { sql, values } = statements[name]!;
      const nodes = await nodesOf(sql, values([]));
      const ofTable = nodes.filter((node) => node['Relation Name'] === 'outbox_messages');
      expect(ofTable.map((node) => node['Node Type'])).not.toContain('Seq Scan');
      expect(nodes.map((node) => node['Index Name'])).toContain('outbox_waiting');
      for (const node of ofTable) expect(node['Actual Rows']).toBeLessThanOrEqual(waiting / 2);
    },
  );

  it('a claim with a plan that was made while nothing waited reads no more of it than it takes', () => {
    expect(beside.generic).toBe(2);
    const ofTable = beside.nodes.filter((node) => node['Relation Name'] === 'outbox_messages');
    expect(ofTable.map((node) => node['Node Type'])).not.toContain('Seq Scan');
    expect(beside.nodes.map((node) => node['Index Name'])).toContain('outbox_waiting');
    for (const node of ofTable) expect(node['Actual Rows']).toBeLessThanOrEqual(claim.limit);
  });
});
