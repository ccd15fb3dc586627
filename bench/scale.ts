// The scale benchmark: more worker processes, slow messages that must not wait for one another, and an urgent one among many. Handlers wait 50
// ms.

import { setTimeout as sleep } from 'node:timers/promises';
import { jobMessages } from '../src/define/messages.ts';
import { createPostgresOutbox } from '../src/store/postgres.ts';
import { pauseSql, resumeSql } from '../src/queues/queues.ts';
import { tell, wait } from './app.ts';
import { watchCores } from './cpu.ts';
import { empty } from './empty.ts';
import { openField, type Field } from './field.ts';
import type { Ours } from './waybill.ts';
import { median } from './rounds.ts';

export type ScaleOptions = {
  readonly processes?: readonly number[];
  readonly seconds?: number;
  readonly tails?: number;
  readonly backlog?: number;
};

const waitMs = 50;
const slots = 25;
const ideal = slots / (waitMs / 1_000);

const tailWorkers = 4;

export async function scale(options: ScaleOptions = {}) {
  const { processes = [1, 2, 4], seconds = 5, tails = 5, backlog = 50_000 } = options;
  const field = await openField({ peers: [], roles: ['relay'] });
  try {
    const workers: number[] = [];
    const steps: Record<string, Step> = {};
    async function grow(n: number): Promise<void> {
      while (workers.length < n) workers.push((await field.ours.start('jobs')).pid);
    }
    async function climb(to: readonly number[]): Promise<void> {
      for (const n of to) {
        await grow(n);
        steps[n] = await step(field, workers, Math.round(n * ideal * seconds));
      }
    }
    await climb(processes.filter((n) => n <= tailWorkers));
    await grow(tailWorkers);
    const tailMs: number[] = [];
    while (tailMs.length < tails) tailMs.push(await tail(field));
    const urgently = backlog > 0 ? await urgent(field, backlog) : { ms: [], left: 0 };
    await climb(processes.filter((n) => n > tailWorkers));
    const of = <T>(pick: (one: Step) => T): Record<string, T> =>
      Object.fromEntries(Object.entries(steps).map(([n, one]) => [n, pick(one)]));
    return {
      idealPerProcess: ideal,
      shareOfIdeal: of(({ perSecond, ideal: whole }) => perSecond / whole),
      coresInUse: of(({ cores }) => cores),
      tailRoundsMs: tailMs,
      tailMs: median(tailMs),
      tailWorstMs: Math.max(...tailMs),
      backlog,
      backlogLeft: urgently.left,
      urgentRoundsMs: urgently.ms,
      urgentMs: median(urgently.ms),
      urgentWorstMs: Math.max(...urgently.ms),
    };
  } finally {
    await field.end();
  }
}

/** The rate of a number of processes, and the cores in use: if all are, they are the limit. */
type Step = {
  readonly perSecond: number;
  readonly ideal: number;
  readonly cores: ReturnType<ReturnType<typeof watchCores>>;
};

async function step(field: Field, workers: readonly number[], messages: number): Promise<Step> {
  const [relay] = field.ours.pids();
  await put(field.ours, messages);
  const cores = watchCores({ workers, relay: [relay!], postgres: [field.postmaster] });
  const perSecond = await rateOf(field.ours, messages);
  return { perSecond, ideal: workers.length * ideal, cores: cores() };
}

async function enqueue({ db }: Ours, messages: number, ms: number): Promise<void> {
  const outbox = createPostgresOutbox(db);
  for (let i = 0; i < messages; i += 1_000) {
    const payloads = Array.from({ length: Math.min(1_000, messages - i) }, () => ({ payload: { ms } }));
    await outbox.enqueue(await jobMessages(wait, payloads));
  }
  await db.executeSql('notify waybill_outbox');
}

async function settled({ db }: Pick<Ours, 'db'>): Promise<void> {
  const open = `select from waybill.outbox_messages where delivered_at is null limit 1`;
  while ((await db.executeSql(open)).rows.length > 0) await sleep(100);
}

/** The messages wait until the queue is resumed, because recording them takes processor time. */
async function put(ours: Ours, messages: number): Promise<void> {
  await empty(ours.db, 'waybill.outbox_messages');
  await ours.db.executeSql(pauseSql, ['jobs', 'bench', 'messages are put in', null, null]);
  await enqueue(ours, messages, waitMs);
}

/** The rate between the tenth and the ninetieth percent of the deliveries, by the database's clock. */
async function rateOf({ db }: Ours, messages: number): Promise<number> {
  await db.executeSql(resumeSql, ['jobs']);
  await settled({ db });
  const sql = `select extract(epoch from percentile_disc(0.9) within group (order by delivered_at)
      - percentile_disc(0.1) within group (order by delivered_at))::float8 as s from waybill.outbox_messages`;
  return (messages * 0.8) / (await db.executeSql<{ s: number }>(sql)).rows[0]!.s;
}

/** Records 100 messages of a second each, for four workers with 25 slots: milliseconds until the last is delivered. */
async function tail({ ours }: Field): Promise<number> {
  await empty(ours.db, 'waybill.outbox_messages');
  await enqueue(ours, 100, 1_000);
  await settled(ours);
  const sql = `select extract(epoch from max(delivered_at) - min(created_at))::float8 * 1000 as ms from waybill.outbox_messages`;
  return (await ours.db.executeSql<{ ms: number }>(sql)).rows[0]!.ms;
}

/** Milliseconds from the commit of a message with a priority to its handler, while a backlog is worked off. */
async function urgent({ ours }: Field, backlog: number): Promise<{ ms: number[]; left: number }> {
  const { db } = ours;
  await db.executeSql('truncate began');
  await ours.clear();
  await db.executeSql(pauseSql, ['jobs', 'bench', 'messages are put in', null, null]);
  await db.transaction(async (tx) => {
    await tx.executeSql(backlogSql, [backlog]);
    await tx.executeSql('analyze waybill.outbox_messages'); // as autovacuum will have done
  }, 'begin; set local statement_timeout = 0');
  await db.executeSql(resumeSql, ['jobs']);
  while ((await db.executeSql(swingSql)).rows.length === 0) await sleep(20);
  const outbox = createPostgresOutbox(db);
  const committed = new Map<string, number>();
  for (let i = 0; i < 20; i++) {
    const [message] = await jobMessages(tell, [{ payload: {}, priority: 100 }]);
    const { id } = await outbox.enqueue(message!);
    committed.set(id, performance.timeOrigin + performance.now());
    await db.executeSql('notify waybill_outbox');
    await sleep(150);
  }
  const read = () => db.executeSql<{ message_id: string; ms: number }>('select * from began');
  let { rows } = await read();
  for (; rows.length < committed.size; { rows } = await read()) await sleep(20); // the slowest count most
  const waiting = 'select count(*)::int as n from waybill.outbox_messages where relayed_at is null';
  const left = (await db.executeSql<{ n: number }>(waiting)).rows[0]!.n;
  await ours.clear();
  return { ms: rows.map(({ message_id, ms }) => ms - committed.get(message_id)!), left };
}

/** The workers are at full speed: the last of the first thousand messages is delivered. */
const swingSql = `
  select from (select delivered_at from waybill.outbox_messages order by id offset 999 limit 1) m where delivered_at is not null`;

/** Inserts the backlog in a small part of the time that enqueueing it takes. */
const backlogSql = `
  insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, revision)
  select waybill.outbox_new_id(), 'job', 'wait', 'jobs', '{"ms": 5}', 10, 0 from generate_series(1, $1::int)`;
