// Invariant I for what people look at: no statement of a page, a search, a count or a group reads the table of messages from end to end, and none reads
// more blocks than its bound allows. Real: Postgres. Each statement is explained with its values, and then run.

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pages } from '../../src/console/pages.ts';
import { readConfig } from '../../src/config/config.ts';
import type { Executor } from '../../src/db/executor.ts';
import { isWaybillError } from '../../src/errors.ts';
import { countMessages } from '../../src/operate/count.ts';
import { parseFilter } from '../../src/operate/filter.ts';
import { groupings, groupMessages } from '../../src/operate/grouping.ts';
import { listMessages } from '../../src/operate/read.ts';
import { relatedMessages } from '../../src/operate/related.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

// A day of 60,000 messages, the newest last: most delivered, one of a hundred dead, cancelled, waiting or about to be retried.
const fill = `
  insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, status, attempts, relayed_at, delivered_at, dead_at, cancelled_at,
    dead_cause, last_error, delivery_key, tags, recipient_hashes, parent_id, request_id, created_at, ends, revision)
  select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '70008' || lpad(to_hex(i), 15, '0'))::uuid, 'job', 'n' || i % 7, 'q' || i % 5,
         jsonb_build_object('order', i, 'note', repeat('x', 400)), 5, s, 1, case when s not in ('pending', 'failed') then at end,
         case when s = 'delivered' then at end, case when s = 'dead' then at end, case when s = 'cancelled' then at end,
         case when s = 'dead' then 'permanent' end, case when s in ('dead', 'failed') then 'no answer of host ' || i % 9 end, 'key-' || i,
         array['order:' || i, 'shop:' || i % 3], array[waybill.email_hash('c' || i % 1000 || '@customers.example')], null, 'r' || i / 8, at, 1, 0
    from (select i, now() - (60000 - i) * interval '1.4 s' as at, case i % 100 when 7 then 'dead' when 17 then 'cancelled' when 27 then 'pending'
            when 37 then 'failed' else 'delivered' end as s from generate_series(1, 60000) i) g`;

/** Of 7,000 blocks that the table has. A list reads the rows of a state, some hundred of each; a lookup reads one row for each match. */
const mostBlocks = { page: 3_000, lookup: 400 };

let database: TestDatabase;
let client: pg.Client;
let id: string;
beforeAll(async () => {
  database = await testDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query('alter table waybill.outbox_messages set (autovacuum_enabled = off)');
  await client.query('alter table waybill.outbox_messages disable trigger user');
  await client.query(fill);
  await client.query('alter table waybill.outbox_messages enable trigger user');
  await client.query('vacuum analyze');
  const dead = 'select id from waybill.outbox_messages where dead_at is not null order by id desc limit 1';
  id = (await client.query<{ id: string }>(dead)).rows[0]!.id;
});
afterAll(async () => {
  await client.end();
  await database.end();
});

type Node = { 'Node Type': string; 'Relation Name'?: string; Plans?: Node[] };
type Read = { readonly sql: string; readonly scans: boolean; readonly blocks: number };
type Plan = Node & { readonly 'Shared Hit Blocks': number; readonly 'Shared Read Blocks': number };

const all = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(all)];

async function readsOf(use: (db: Executor) => Promise<unknown>): Promise<Read[]> {
  const reads: Read[] = [];
  const db: Executor = {
    async executeSql(sql, values = []) {
      if (/^\s*(?:select|with)\b/i.test(sql)) {
        const explained = await client.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
          `explain (analyze, buffers, format json) ${sql}`,
          values as unknown[],
        );
        const { Plan: plan } = explained.rows[0]!['QUERY PLAN'][0];
        reads.push({
          sql: sql.replaceAll(/\s+/g, ' ').slice(0, 300),
          scans: all(plan).some(
            (node) => node['Node Type'] === 'Seq Scan' && node['Relation Name'] === 'outbox_messages',
          ),
          blocks: plan['Shared Hit Blocks'] + plan['Shared Read Blocks'],
        });
      }
      return client.query(sql, values as unknown[]) as never;
    },
  };
  try {
    await use(db);
  } catch (error) {
    if (!isWaybillError(error)) throw error; // such as a cron job that is not there
  }
  return reads;
}

async function check(most: number, use: (db: Executor) => Promise<unknown>): Promise<void> {
  const reads = await readsOf(use);
  expect(reads.filter(({ scans, blocks }) => scans || blocks > most)).toEqual([]);
}

const config = readConfig({
  DATABASE_URL: 'postgres://localhost/none',
  WAYBILL_ADMIN_KEY: 'x'.repeat(32),
  NODE_ENV: 'test',
});
const kept = <T>(_name: string, _ms: number, read: () => Promise<T>): Promise<T> => read();
const session = { id: 's', by: 'Ann', key: 'ann', role: 'admin', csrf: 't', until: 0, secret: 's' } as const;
const states = ['pending', 'sending', 'failed', 'dead', 'cancelled', 'delivered'];

describe('I: what people look at reads by indexes, within bounds', () => {
  const queries: [path: string, query: Record<string, string>][] = [
    ...pages.map(({ path }): [string, Record<string, string>] => [
      path,
      path.endsWith('/selected') ? { act: 'retry' } : {},
    ]),
    ...states.map((status): [string, Record<string, string>] => ['/console/messages', { status }]),
    ['/console/messages', { q: 'error:"no such words"' }],
  ];
  it.each(queries)('the page %s with %o', async (path, query) => {
    const page = pages.find((one) => one.path === path)!;
    const params = { id, name: 'q1' };
    await check(mostBlocks.page, async (db) =>
      page.look({ db, query: query['act'] ? { ...query, id } : query, params, session, config, kept }),
    );
  });

  const lookups: Record<string, string>[] = [
    { to: 'c7@customers.example' },
    { to: 'nobody@customers.example' },
    { tag: 'order:4711' },
    { tag: 'none' },
    { deliveryKey: 'key-4711' },
    { keyPrefix: 'key-4711' },
    { keyPrefix: 'none' },
    { requestId: 'r7', tag: 'order:56' },
  ];
  it.each(lookups)('the list and the count of %o', async (filter) => {
    expect(await readsOf((db) => listMessages(db, parseFilter(filter)))).not.toEqual([]);
    await check(mostBlocks.lookup, (db) => listMessages(db, parseFilter(filter)));
    await check(mostBlocks.lookup, (db) => countMessages(db, parseFilter(filter)));
  });

  it.each(states)('the count of %s', async (status) => {
    const reads = await readsOf((db) => countMessages(db, parseFilter({ status })));
    if (status !== 'delivered') expect(reads.filter(({ scans }) => scans)).toEqual([]); // 54,000 of 60,000 are counted in the table
  });

  it.each(groupings.slice(0, 3))('groups of failures by %s', (by) =>
    check(10_000, (db) => groupMessages(db, { by, window: '24h' }, {})),
  );

  it('what is related to a message', () => check(1_000, (db) => relatedMessages(db, id)));

  it.each([
    { name: 'none' },
    { queue: 'none' },
    { kind: 'event' },
    { requestId: 'none' },
    { errorContains: 'none', status: 'delivered' },
  ])('the list of %o reads a bounded number of messages', async (filter) => {
    const texts: string[] = [];
    await listMessages(
      {
        executeSql: (sql: string) => (texts.push(sql), Promise.resolve({ rows: [] })),
      } as unknown as Executor,
      parseFilter(filter),
    );
    expect(texts[0]).toMatch(
      /\(select \* from waybill\.outbox_messages .*order by id desc limit \d{6}\) m where/,
    );
  });
});
