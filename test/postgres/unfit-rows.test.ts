// Rows that break the rules of a message, written past the trigger of the table as a superuser or an older deploy can. Postgres, pg-boss, the
// relay's steps, the worker's claims and what people ask are real; nothing is delivered.

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { fleetGauges } from '../../src/metrics/gauges.ts';
import { createMetrics } from '../../src/metrics/catalogue.ts';
import { createEvents } from '../../src/metrics/events.ts';
import { createLog } from '../../src/metrics/log.ts';
import { claimWaiting } from '../../src/outbox/claim.ts';
import { createCheck } from '../../src/relay/check.ts';
import { retryMessage } from '../../src/operate/operate.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { listQueues } from '../../src/queues/queues.ts';
import { listMessages, showMessage } from '../../src/operate/read.ts';
import { readStats } from '../../src/operate/stats.ts';
import { withoutUnfit } from '../../src/operate/unfit.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { readWaitingNames } from '../../src/operate/names.ts';
import { openQueue, type WakeUpQueue } from '../../src/queue/boss.ts';
import { createPrune } from '../../src/relay/prune.ts';
import { createRelay } from '../../src/relay/relay.ts';
import { createSweep } from '../../src/relay/sweep.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let queue: WakeUpQueue;
const metrics = createMetrics({ version: 'test' });
const events = createEvents(createLog({ level: 'silent', role: 'test' }), metrics);
const observe = (): void => undefined;
const day = 86_400_000;

beforeAll(async () => {
  database = await testDatabase();
  queue = openQueue({ db: database.db, queueDb: database.db, backend: 'postgres', onError: () => undefined });
  await queue.install();
  // Nothing holds the rows to the rules any more.
  await database.db.executeSql('alter table waybill.outbox_messages disable trigger user');
});
afterAll(async () => {
  await queue.close();
  await database.end();
});

afterEach(() => database.db.executeSql('delete from waybill.outbox_messages'));

type Step = () => Promise<unknown>;

const lease = { leaseMs: 60_000, workerId: 'w' };
const claimAll = async (): Promise<string[]> =>
  (await createPostgresOutbox(database.db).claimBatch({ limit: 50, ...lease })).map(({ id }) => id);

function steps(): Record<string, Step> {
  const { db } = database;
  const clock = { now: () => performance.now() };
  const sweep = { db, events, observe, intervalMs: 1_000, wakeRelay: () => undefined };
  const retention = { deliveredMs: day, deadMs: day, keyMs: day };
  return {
    look: createCheck(db, clock, 0),
    relay: createRelay({ db, queue, events, observe, clock: performance, pollIntervalMs: 1_000 }),
    sweep: createSweep(sweep),
    prune: createPrune({ db, events, observe, retention, auditRetentionMs: day }),
    stats: () => readStats(db),
    metrics: () => fleetGauges(db),
    queues: () => listQueues(db),
    names: () => readWaitingNames(db),
    list: () => listMessages(db),
    verify: () => verifyOutbox(db),
  };
}

/** Writes the row as nobody should, with good values where nothing is said. */
async function write(given: string): Promise<string> {
  const values = new Map([
    ['id', `'${crypto.randomUUID()}'`],
    ['revision', '0'],
    ...[`kind = 'job'`, `name = 'n'`, `queue = 'jobs'`, `payload = '{}'`, `max_attempts = 5`].map(pair),
    ...given.split(/, (?=\w+ = )/).map(pair),
  ]);
  const sql = `insert into waybill.outbox_messages (${[...values.keys()].join(', ')}) values (${[...values.values()].join(', ')}) returning id`;
  return (await database.db.executeSql<{ id: string }>(sql)).rows[0]!.id;
}

function pair(text: string): [string, string] {
  const at = text.indexOf(' = ');
  return [text.slice(0, at), text.slice(at + 3)];
}

const claim = (until: string): string =>
  `claim_token = gen_random_uuid(), claimed_by = 'w', claimed_at = now(), claimed_until = ${until}`;

/** What it is, how the row ends after a few steps, and of what reason. `waits`: it stays, and verify names it. */
const rows: [string, string, RegExp | null][] = [
  [`queue = 'it''s'`, 'dead', /^queue_invalid: the queue 'it''s'/],
  [`queue = repeat('q', 300)`, 'dead', /^queue_invalid/],
  [`queue = ''`, 'dead', /^queue_invalid/],
  [`queue = 'a/b'`, 'dead', /^queue_invalid/],
  [`queue = 'jobs/alone'`, 'dead', /^queue_invalid/],
  [`queue = E'a\\tb'`, 'dead', /^queue_invalid/],
  [`queue = 'größe'`, 'dead', /^queue_invalid/],
  [`queue = 'it''s', attempts = 1`, 'dead', /^queue_invalid/],
  [`attempts = 5`, 'dead', /^attempts_exhausted/],
  [`attempts = 9`, 'dead', /^attempts_/],
  [`max_attempts = 0`, 'dead', /^attempts_exhausted|^max_attempts_invalid/],
  [`status = 'sending'`, 'failed', /that the row does not name/],
  [
    `status = 'sending', relayed_at = now(), attempts = 1, ${claim("'infinity'")}`,
    'failed',
    /the lease ran out/,
  ],
  [`status = 'sending', relayed_at = now(), attempts = 1`, 'failed', /the lease ran out/],
  [`status = 'lost'`, 'dead', /^state_invalid.*'lost'/],
  [`status = 'delivered'`, 'dead', /^state_invalid.*'delivered'/],
  [`status = 'dead', relayed_at = now()`, 'dead', /^state_invalid/],
  [`relayed_at = 'infinity'`, 'dead', /^invalid_time/],
  [`revision = 2147483647`, 'dead', /^revision_invalid/],
  [`revision = 2147483647, attempts = 1`, 'dead', /^revision_invalid/],
  [`available_at = 'infinity'`, 'waits', null],
  [`available_at = '294276-12-31'`, 'waits', null],
];

/** These are claimed, for nothing that the engine computes with is wrong; what cannot be delivered, the worker decides. */
const claimable = [
  `kind = 'fax'`,
  `name = ''`,
  `name = repeat('n', 5000)`,
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
  `max_attempts = 2147483647`,
  `delivery_key = ''`,
  `delivery_key = repeat('k', 2000)`,
  `traceparent = 'x'`,
  `request_id = repeat('r', 5000)`,
  `expirations = -1`,
];

const good = { kind: 'job', name: 'n', queue: 'jobs', payload: {} } as const;

async function statusOf(id: string): Promise<{ status: string; error: string | null; relayed: boolean }> {
  const sql = `select status, last_error as error, relayed_at is not null as relayed from waybill.outbox_messages where id = $1`;
  const { rows: found } = await database.db.executeSql<{ status: string; error: string; relayed: boolean }>(
    sql,
    [id],
  );
  return found[0]!;
}

/** Some rows end when a claim meets them. */
async function endOf(id: string, end: string): ReturnType<typeof statusOf> {
  const found = await statusOf(id);
  if (end !== 'dead' || found.status === 'dead') return found;
  await claimAll();
  return statusOf(id);
}

async function goneThrough(all: Record<string, Step>, rounds = 3): Promise<Record<string, string>> {
  const failed: Record<string, string> = {};
  for (let round = 0; round < rounds; round++)
    for (const [name, step] of Object.entries(all))
      await step().catch((error: Error) => void (failed[name] = error.message));
  return failed;
}

/** Tests delete rows while no trigger counts them. */
async function differences(): Promise<number[]> {
  return (await verifyOutbox(database.db)).kinds.map(({ difference }) => difference);
}

describe('one row that nobody can take', () => {
  it.each(rows)('%s: %s, and its neighbour goes on', async (given, end, reason) => {
    const { db } = database;
    const bad = await write(given);
    const { id } = await createPostgresOutbox(db).enqueue(good);
    expect(await goneThrough(steps())).toEqual({});
    const { status, error } = await endOf(bad, end);
    expect((await statusOf(id)).status === 'sending' || (await claimAll()).includes(id)).toBe(true);
    expect(status).toBe(end === 'waits' ? 'pending' : end);
    if (reason) expect(error).toMatch(reason);
    else {
      const named = (await verifyOutbox(db)).findings.flatMap((finding) => finding.ids);
      expect(named).toContain(bad);
    }
    await showMessage(db, bad);
  });

  it.each(claimable)('%s: nothing stops for it, and it is claimed or ends', async (given) => {
    const { db } = database;
    const bad = await write(given);
    const { id } = await createPostgresOutbox(db).enqueue(good);
    expect(await goneThrough(steps())).toEqual({});
    const claimed = await claimAll();
    expect(claimed).toContain(id);
    expect(claimed.includes(bad) || (await statusOf(bad)).status === 'dead').toBe(true);
    await showMessage(db, bad);
  });

  it.each([...rows.map(([given]) => given), ...claimable])(
    '%s: a worker that claims by itself takes its neighbour',
    async (given) => {
      const { db } = database;
      await write(given);
      const { id } = await createPostgresOutbox(db).enqueue(good);
      const claims = { limit: 10, leaseMs: 60_000, workerId: 'w' };
      const taken: string[] = [];
      const step = async (): Promise<void> => {
        const claim = () => claimWaiting(db, { ...claims, queue: 'jobs', priority: 0 });
        for (const { message } of await withoutUnfit(db, () => undefined, claim)) taken.push(message.id);
        for (const message of await createPostgresOutbox(db).claimBatch(claims)) taken.push(message.id);
      };
      const relayed = steps();
      await step().catch(() => undefined);
      expect(await goneThrough({ relay: relayed['relay']!, sweep: relayed['sweep']! })).toEqual({});
      await step();
      expect(taken).toContain(id);
      await db.executeSql('delete from waybill.outbox_messages');
    },
  );

  it('a message that was retried by hand although its queue cannot be ends again, with the same reason', async () => {
    const bad = await write(`queue = 'it''s'`);
    await goneThrough(steps(), 1);
    await retryMessage(database.db, bad);
    expect(await goneThrough(steps(), 1)).toEqual({});
    expect(await statusOf(bad)).toMatchObject({
      status: 'dead',
      error: expect.stringMatching(/^queue_invalid/) as string,
    });
  });

  it('a thousand of them in a queue of their own hold up nobody', async () => {
    const sql = `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, revision)
      select gen_random_uuid(), 'job', 'n', 'it''s', '{}', 5, 0 from generate_series(1, 2500)`;
    await database.db.executeSql(sql);
    const { id } = await createPostgresOutbox(database.db).enqueue(good);
    const before = await differences();
    expect(await goneThrough(steps(), 8)).toEqual({});
    expect(await claimAll()).toContain(id);
    const { byStatus } = await readStats(database.db);
    expect(byStatus.dead).toBe(2_500);
    expect(await differences()).toEqual(before); // what is counted once is not counted again
  });

  it('jobs in pg-boss that nobody of ours wrote are passed over', async () => {
    const { db } = database;
    await queue.ensure(['jobs']);
    for (const data of [
      '"x"',
      'null',
      '{"messages": 1.5}',
      '{"messages": 1e300}',
      '{"ids": [1, "x"]}',
      '{"any": -3}',
    ])
      await db.executeSql(`insert into pgboss.job (name, data) values ('jobs', $1::jsonb)`, [data]);
    await createPostgresOutbox(db).enqueue(Array.from({ length: 3_000 }, () => good));
    const more = { announced: () => queue.announced(), take: () => queue.take('jobs', 2) };
    expect(await goneThrough({ ...steps(), ...more }, 8)).toEqual({});
  });
});
