// The benchmark of a table that has been in use for long: 1,000 messages a second are recorded, claimed, settled and pruned, on a table with the rows of
// its retention and on one without any, in alternating rounds. The clock and the rows are simulated: the retention is as long as the rows last at that
// pace, so in each second as many messages come of age as are recorded. Dead messages are kept for longer, and are the oldest rows.

import { setTimeout as sleep } from 'node:timers/promises';
import { startPostgres } from '../src/dev/postgres.ts';
import { migrate, standardSources } from '../src/db/migrate.ts';
import { openDatabase, type Database } from '../src/db/pool.ts';
import { createLog } from '../src/metrics/log.ts';
import { createEvents } from '../src/metrics/events.ts';
import { createPrune } from '../src/relay/prune.ts';
import { createPostgresOutbox } from '../src/store/postgres.ts';
import { count, during } from './progress.ts';
import { createMetrics } from './silent.ts';
import { median, quantile } from './rounds.ts';

export type YearsOptions = {
  readonly settled?: number | undefined;
  readonly dead?: number | undefined;
  readonly rounds?: number | undefined;
  /** Of one round. */
  readonly seconds?: number | undefined;
};

/** Messages a second. */
const pace = 1_000;
const tickMs = 100;
const perTick = (pace * tickMs) / 1_000;
const part = 50_000;
const day = 86_400_000;

const idOf = (age: string): string =>
  `(lpad(to_hex(((extract(epoch from now()) - ${age}) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid`;

/** Values: first and last row, seconds between two. */
const settledSql = `
  insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, status, attempts, relayed_at, created_at, available_at, delivered_at, revision, ends)
  select ${idOf('age')}, 'job', 'receipt', 'jobs', '{"orderId": 4711, "customer": "somebody", "lines": [1, 2, 3]}', 5, 'delivered', 1,
         now() - age * interval '1 second', now() - age * interval '1 second', now() - age * interval '1 second', now() - age * interval '1 second', 0, 1
    from (select n * $3::float8 as age from generate_series($1::int, $2::int) n) a`;

/** Values: rows, seconds from which on they are older than every other row. */
const deadSql = `
  insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, status, attempts, relayed_at, created_at, available_at, dead_at, dead_cause, last_error, revision, ends)
  select ${idOf('age')}, 'job', 'receipt', 'jobs', '{}', 5, 'dead', 5, now(), now() - age * interval '1 second', now(), now(), 'exhausted', 'refused', 0, 5
    from (select $2::float8 + n as age from generate_series(1, $1::int) n) a`;

const sizesSql = `
  select c.relname as name, (pg_relation_size(c.oid) / 1048576.0)::float8 as mb from pg_class c
    join pg_index i on i.indexrelid = c.oid where i.indrelid = 'waybill.outbox_messages'::regclass
  union all select 'table', (pg_relation_size('waybill.outbox_messages') / 1048576.0)::float8
  union all select 'dead rows', n_dead_tup::float8 from pg_stat_user_tables where relid = 'waybill.outbox_messages'::regclass`;

/** Messages past their retention that are still there. */
const overdueSql = `select count(*)::float8 as n from waybill.outbox_messages where delivered_at < now() - $1 * interval '1 second'`;

type Step = 'record' | 'claim' | 'settle' | 'prune';
const steps: readonly Step[] = ['record', 'claim', 'settle', 'prune'];
type Times = Record<Step, number[]>;

type Table = {
  readonly name: 'new' | 'old';
  readonly db: Database;
  readonly prune: () => Promise<number>;
  readonly retentionSeconds: number;
};

export async function years({
  settled = 1_000_000,
  dead = 100_000,
  rounds = 3,
  seconds = 20,
}: YearsOptions = {}): Promise<object> {
  const server = await startPostgres({ persistent: false });
  for (const name of ['young', 'old']) await make(server.url(), name);
  const young = await tableOf(server.url('young'), 'new', settled / pace);
  const old = await tableOf(server.url('old'), 'old', settled / pace);
  try {
    await during(
      `years: ${count(settled)} settled and ${count(dead)} dead rows are made`,
      fill(old.db, settled, dead),
    );
    const before = await sizesOf(old.db);
    const measured = { new: [] as Times[], old: [] as Times[] };
    for (let round = 0; round < rounds; round++)
      for (const table of round % 2 ? [old, young] : [young, old]) {
        const text = `years, round ${round + 1} of ${rounds}: ${count(pace)} a second on the ${table.name} table`;
        measured[table.name].push(await during(text, work(table, seconds)));
      }
    const { rows } = await old.db.executeSql<{ n: number }>(overdueSql, [old.retentionSeconds]);
    const sizes = { before, after: await sizesOf(old.db) };
    return { settled, dead, seconds, ...figuresOf(measured), sizes, overdue: rows[0]!.n };
  } finally {
    await Promise.all([young.db.end(), old.db.end()]);
    await server.end();
  }
}

async function make(url: string, name: string): Promise<void> {
  const db = openDatabase({ url, max: 1, applicationName: 'bench', onIdleError: () => undefined });
  await db.executeSql(`create database ${name}`);
  await db.end();
}

async function tableOf(url: string, name: Table['name'], retentionSeconds: number): Promise<Table> {
  const filling = { statementTimeoutMs: 600_000 };
  const db = openDatabase({
    url,
    max: 8,
    applicationName: 'bench',
    onIdleError: () => undefined,
    ...filling,
  });
  await migrate(db, standardSources('bench/app.ts'));
  const retention = { deliveredMs: retentionSeconds * 1_000, deadMs: 30 * day, keyMs: 90 * day };
  const events = createEvents(createLog({ level: 'silent', role: 'bench' }), createMetrics());
  const prune = createPrune({ db, events, observe: () => undefined, retention, auditRetentionMs: 400 * day });
  return { name, db, prune, retentionSeconds };
}

async function fill(db: Database, settled: number, dead: number): Promise<void> {
  for (let first = 1; first <= settled; first += part)
    await db.executeSql(settledSql, [first, Math.min(settled, first + part - 1), 1 / pace]);
  await db.executeSql(deadSql, [dead, settled / pace + 60]);
  await db.executeSql('vacuum analyze waybill.outbox_messages');
}

/** A round at the pace. A tick that is late is followed by the next one at once. */
async function work({ db, prune }: Table, seconds: number): Promise<Times> {
  const times: Times = { record: [], claim: [], settle: [], prune: [] };
  async function timed<T>(step: Step, run: () => Promise<T>): Promise<T> {
    const began = performance.now();
    const answer = await run();
    times[step].push(performance.now() - began);
    return answer;
  }
  const outbox = createPostgresOutbox(db);
  const message = {
    kind: 'job',
    name: 'receipt',
    queue: 'jobs',
    payload: { orderId: 4711, lines: [1, 2, 3] },
  } as const;
  const began = performance.now();
  const isOver = (): boolean => performance.now() - began > seconds * 1_000;
  async function pruning(): Promise<void> {
    while (!isOver()) await sleep(Math.min(1_000, await timed('prune', prune))); // in a relay up to a minute, and then more batches in a row
  }
  async function messages(): Promise<void> {
    for (let tick = 1; !isOver(); tick++) {
      for (let i = 0; i < perTick; i++) await timed('record', () => outbox.enqueue(message));
      const lease = { limit: perTick, leaseMs: 15_000, workerId: 'bench' };
      const claimed = await timed('claim', () => outbox.claimBatch(lease));
      const ends = claimed.map(({ id, claimToken }) => ({
        id,
        claimToken,
        to: 'delivered' as const,
        then: [],
      }));
      await timed('settle', () => outbox.settle(ends));
      await sleep(Math.max(0, began + tick * tickMs - performance.now()));
    }
  }
  await Promise.all([messages(), pruning()]);
  return times;
}

async function sizesOf(db: Database): Promise<Record<string, number>> {
  const { rows } = await db.executeSql<{ name: string; mb: number }>(sizesSql);
  return Object.fromEntries(rows.map(({ name, mb }) => [name, Math.round(mb * 10) / 10]));
}

/** Milliseconds of one statement: medians of the rounds' p50 and p99, and the old table's to the new one's. */
function figuresOf(measured: Readonly<Record<Table['name'], readonly Times[]>>): object {
  const of = (name: Table['name'], step: Step, q: number): number =>
    median(measured[name].map((times) => quantile(times[step], q)));
  const row = (step: Step): object => ({
    newP50: of('new', step, 0.5),
    oldP50: of('old', step, 0.5),
    oldToNewP50: of('old', step, 0.5) / of('new', step, 0.5),
    newP99: of('new', step, 0.99),
    oldP99: of('old', step, 0.99),
    oldToNewP99: of('old', step, 0.99) / of('new', step, 0.99),
  });
  const recorded = (name: Table['name']): number => median(measured[name].map(({ record }) => record.length));
  return {
    recorded: { new: recorded('new'), old: recorded('old') },
    ms: Object.fromEntries(steps.map((step) => [step, row(step)])),
  };
}
