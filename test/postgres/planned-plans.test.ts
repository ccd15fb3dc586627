// Plans that a session keeps, made while the table was empty, before anybody has looked at it anew, and with current statistics. A node that is used
// although disabled adds 1e10 to the cost before Postgres 18 (there it is marked instead), and above `jit_above_cost` a plan is compiled at
// each execution. Real: Postgres. Doubled: nothing.

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { byIndexAlone } from '../../src/db/prepared.ts';
import { claimSql } from '../../src/outbox/claim.ts';
import { settleText } from '../../src/outbox/settle.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

type Node = { 'Node Type': string; 'Relation Name'?: string; Disabled?: boolean; Plans?: Node[] };
type Plan = { readonly Plan: Node & { 'Total Cost': number }; readonly JIT?: object };

const jitAboveCost = 100_000; // Postgres's default

const kept: Readonly<Record<string, readonly [sql: string, values: string]>> = {
  claim: [claimSql, `(100, 'q1', 0, 60000, 'w', 100, null)`],
  deliver_alone: [settleText({ delivered: 'alone', adds: false, notes: false }), `(null, null)`],
  deliver: [settleText({ delivered: 'under one token', adds: false, notes: false }), `('{}', null)`],
  deliver_pairs: [settleText({ delivered: 'under their tokens', adds: false, notes: false }), `('{}', '{}')`],
  deliver_notes: [
    settleText({ delivered: 'under one token', adds: false, notes: true }),
    `('{}', null, '[]')`,
  ],
  deliver_adds: [
    settleText({ delivered: 'under one token', adds: true, notes: false }),
    `('{}', null${`, '{}'`.repeat(12)})`,
  ],
  settle: [
    settleText({ delivered: false, adds: false, notes: false }),
    `(${Array(8).fill(`'{}'`).join(', ')})`,
  ],
};

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
  await database.db.executeSql('alter table waybill.outbox_messages set (autovacuum_enabled = off)');
});
afterAll(() => database.end());

/** As the application's connections are: `jit` as the database has it. */
async function session(body: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    await client.query('set jit = on');
    await body(client);
  } finally {
    await client.end();
  }
}

const fill = (rows: number) =>
  database.db.executeSql(
    `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, available_at, revision)
     select gen_random_uuid(), 'job', 'n', 'q1', '{}', 5, now() - i * interval '1 ms', 0 from generate_series(1, $1::int) i`,
    [rows],
  );

const all = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(all)];

async function planOf(client: pg.Client, name: string): Promise<Plan> {
  const { rows } = await client.query<{ 'QUERY PLAN': [Plan] }>(
    `explain (format json) execute ${name}${kept[name]![1]}`,
  );
  return rows[0]!['QUERY PLAN'][0];
}

async function check(client: pg.Client): Promise<void> {
  await client.query(byIndexAlone);
  for (const [name, [sql]] of Object.entries(kept)) {
    await client.query(`prepare ${name} as ${sql}`);
    const { Plan, JIT } = await planOf(client, name);
    const nodes = all(Plan);
    expect(
      nodes.filter((node) => node.Disabled),
      name,
    ).toEqual([]);
    expect(Plan['Total Cost'], name).toBeLessThan(jitAboveCost);
    expect(JIT, name).toBeUndefined();
    const scans = nodes.filter((node) => node['Relation Name'] === 'outbox_messages');
    expect(
      scans.map((node) => node['Node Type']),
      name,
    ).not.toContain('Seq Scan');
  }
}

describe('I: a plan that a session keeps uses no disabled node, and is not compiled', () => {
  it('made while nothing was there', () => session(check));

  it('made with statistics of a time in which nothing was there', async () => {
    await database.db.executeSql('analyze waybill.outbox_messages');
    await fill(20_000);
    await session(check);
  });

  it('made with current statistics', async () => {
    await database.db.executeSql('vacuum analyze waybill.outbox_messages, waybill.queues');
    await session(check);
  });
});
