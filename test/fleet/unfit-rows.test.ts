// Rows that break the rules of a message under a real fleet in one process: web, relay, workers and scheduler. They are written past the
// trigger of the table, beside good ones.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { until } from '../support/wait.ts';

let world: World;
beforeAll(async () => {
  world = await fleetWorld({ WAYBILL_EMAIL_PROVIDER: 'inbox', PORT: '0' });
  await world.database.db.executeSql('alter table waybill.outbox_messages disable trigger user');
});
afterAll(async () => {
  await world.database.db.executeSql(
    'truncate waybill.outbox_messages cascade; truncate waybill.outbox_audit; alter table waybill.outbox_messages enable trigger user',
  );
  await world.end();
});

const known = [
  `kind: 'job', name: 'work', queue: 'jobs', payload: {"ms": 0}`,
  `kind: 'event', name: 'happened', queue: 'events', payload: {"n": 1}`,
  `kind: 'listener', name: 'one', queue: 'events', payload: {"n": 1}`,
  `kind: 'email', name: 'email', queue: 'email', payload: {"to": [{"address": "ann@shop.test"}], "from": {"address": "bo@shop.test"}, "subject": "x", "text": "y"}`,
];
const changes = [
  `kind = 'fax'`,
  `queue = 'it''s'`,
  `queue = repeat('q', 300)`,
  `queue = ''`,
  `payload = '"x"'`,
  `payload = 'null'`,
  `payload = '[1]'`,
  `priority = 2147483647`,
  `priority = -2147483648`,
  `available_at = '-infinity'`,
  `created_at = 'infinity'`,
  `created_at = '-infinity'`,
  `created_at = '294276-12-31'`,
  `attempts = -1`,
  `attempts = 7`,
  `max_attempts = 0`,
  `max_attempts = 2147483647`,
  `delivery_key = ''`,
  `delivery_key = repeat('k', 2000)`,
  `traceparent = 'x'`,
  `request_id = repeat('r', 5000)`,
  `expirations = -1`,
  `expirations = 2147483647`,
  `revision = 2147483647`,
  `revision = -1`,
  `status = 'lost'`,
  `status = 'sending'`,
  `status = 'delivered'`,
  `relayed_at = 'infinity'`,
];

/** One statement for each row: a good row, changed. */
async function write(facts: string, change: string): Promise<string> {
  const row = Object.fromEntries(
    [...facts.matchAll(/(\w+): (?:'([^']*)'|(\{.*\}))(?:, |$)/g)].map(([, key, text, json]) => [
      key,
      text ?? json,
    ]),
  ) as Record<string, string>;
  const values = new Map<string, string>([
    ['id', `'${crypto.randomUUID()}'`],
    ['revision', '0'],
    ['max_attempts', '5'],
    ...Object.entries(row).map(([key, value]): [string, string] => [key, `'${value}'`]),
  ]);
  const at = change.indexOf(' = ');
  values.set(change.slice(0, at), change.slice(at + 3));
  const sql = `insert into waybill.outbox_messages (${[...values.keys()].join(', ')}) values (${[...values.values()].join(', ')}) returning id`;
  return (await world.database.db.executeSql<{ id: string }>(sql)).rows[0]!.id;
}

it('B: a fleet in the midst of them delivers all that is good, and each of them ends', async () => {
  const bad = new Set<string>();
  for (const facts of known)
    for (const change of changes) bad.add(await write(facts, change).catch((e: Error) => e.message));
  await world.enqueue('work', { ms: 0 }, 50);
  const all = await world.fleet.start('all');
  await world.enqueue('work', { ms: 0 }, 50);
  const live = `select id, kind, name, status, attempts, last_error from waybill.outbox_messages
    where status not in ('delivered', 'dead') order by id`;
  const left = await until(
    async () => {
      const { rows } = await world.database.db.executeSql(live);
      return rows.length === 0 || undefined;
    },
    { timeoutMs: 60_000, what: 'an end of each row' },
  ).catch(async () => (await world.database.db.executeSql(live)).rows);
  expect(left).toBe(true);
  const good = (await world.marks('work')).size;
  expect(good).toBeGreaterThanOrEqual(100);
  expect(all.lines.filter((line) => 'loop' in line)).toEqual([]);
  expect(await all.stop()).toBe(0);
});
