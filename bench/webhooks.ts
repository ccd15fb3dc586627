// The webhooks benchmark: what endpoints that hang or fail cost the others. Webhooks are recorded at a steady rate for endpoints that answer; in turn
// none, as many for each endpoint that hangs or fails, and as many for the same endpoints while they answer, which shows what their load alone costs.
// A round begins without any knowledge of them, so the first timeouts are in it. Receivers are real HTTP servers; each endpoint has an address of
// its own (127.0.0.0/8).

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createPostgresOutbox, enqueueWebhook } from '../src/index.ts';
import { createNotify, placeOf } from '../src/outbox/notify.ts';
import { inFlight, waits } from '../src/outbox/waiting.ts';
import { now } from './app.ts';
import { empty } from './empty.ts';
import { tell } from './progress.ts';
import { alternate, median, quantile, summary } from './rounds.ts';
import { withWorld, type BenchWorld } from './world.ts';
import { customer } from './webhooks-app.ts';

export type WebhooksOptions = {
  readonly endpoints?: number;
  readonly hanging?: number;
  readonly failing?: number;
  /** Webhooks a second for all endpoints together. */
  readonly perSecond?: number;
  /** Seconds of a round; an endpoint has 15 to answer. */
  readonly seconds?: number;
  readonly rounds?: number;
};

/** What the endpoints in question do. */
const ways = ['absent', 'answering', 'hanging or failing'] as const;
type Way = (typeof ways)[number];
type Round = { readonly p50: number; readonly p99: number; readonly received: number; readonly bad: number };

const place = placeOf({ queue: 'webhooks', group: 'customer' });
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

export function webhooks(options: WebhooksOptions = {}) {
  return withWorld((world) => measure(world, options));
}

async function measure(world: BenchWorld, options: WebhooksOptions) {
  const { endpoints = 1_000, hanging = 50, failing = 50, perSecond = 50, seconds = 30, rounds = 3 } = options;
  const receivers = fork(fileURLToPath(new URL('webhook-receivers.ts', import.meta.url)), {
    execArgv: ['--import', 'tsx'],
  });
  const [{ port }] = (await once(receivers, 'message')) as [{ port: number }];
  try {
    await world.db.executeSql('create table endpoints (id text primary key, url text, secrets text[])');
    const env = { WAYBILL_APP: 'bench/webhooks-app.ts', WAYBILL_WEBHOOK_ALLOW: '127.0.0.0/8' };
    await world.start('relay', env);
    await world.start('jobs', env);
    const of = { endpoints, hanging, bad: hanging + failing, perSecond, seconds, receivers, port };
    await round(world, { ...of, seconds: 5 }, 'absent'); // warms up
    const measured = await alternate(ways, rounds, async (way, i) => {
      tell(`webhooks, round ${i + 1} of ${rounds}: ${seconds} s, endpoints ${way}`);
      return round(world, of, way);
    });
    const figures = (way: Way) => {
      const its = measured.get(way)!;
      const ratios = (key: 'p50' | 'p99') =>
        summary(its.map((one, i) => one[key] / measured.get('absent')![i]![key]));
      return {
        p50: summary(its.map(({ p50 }) => p50)),
        p99: summary(its.map(({ p99 }) => p99)),
        received: median(its.map(({ received }) => received)),
        attemptsAtBad: median(its.map(({ bad }) => bad)),
        ...(way !== 'absent' && { ratioOfP50: ratios('p50'), ratioOfP99: ratios('p99') }),
      };
    };
    return {
      setup: { endpoints, hanging, failing, perSecond, seconds },
      ...Object.fromEntries(ways.map((way) => [way, figures(way)])),
    };
  } finally {
    receivers.disconnect();
  }
}

type Load = {
  readonly endpoints: number;
  readonly hanging: number;
  /** Those that hang and those that fail. */
  readonly bad: number;
  readonly perSecond: number;
  readonly seconds: number;
  readonly receivers: ReturnType<typeof fork>;
  readonly port: number;
};

async function setEndpoints({ db }: BenchWorld, load: Load, way: Way): Promise<void> {
  const { endpoints, hanging, bad, port } = load;
  const pathOf = (n: number): string => {
    if (n >= bad) return 'good';
    return way === 'answering' ? 'other' : n < hanging ? 'hang' : 'fail';
  };
  const urls = Array.from(
    { length: endpoints },
    (_, n) => `http://127.1.${n >> 8}.${n & 255}:${port}/${pathOf(n)}`,
  );
  await db.executeSql('truncate endpoints');
  await db.executeSql(
    `insert into endpoints select n - 1, url, array[$2] from unnest($1::text[]) with ordinality as u(url, n)`,
    [urls, secret],
  );
}

async function round(world: BenchWorld, load: Load, way: Way): Promise<Round> {
  const { db } = world;
  const { endpoints, bad, perSecond, seconds, receivers } = load;
  // What the last round left behind ends first: an endpoint that hangs holds its slot until its time is up.
  await until(async () => {
    await db.executeSql(`delete from waybill.outbox_messages where ${waits()}`);
    return (
      (await db.executeSql(`select from waybill.outbox_messages where ${inFlight()} limit 1`)).rows.length ===
      0
    );
  });
  const tables = ['outbox_messages', 'outbox_notes', 'outbox_attempts', 'queue_groups'];
  await empty(db, ...tables.map((table) => `waybill.${table}`));
  await setEndpoints(world, load, way);
  await taken(receivers);
  const notify = createNotify(db, (error) => console.error(error));
  const recording: Promise<unknown>[] = [];
  const began = performance.now();
  for (let n = 0; n < perSecond * seconds; n++) {
    const due = began + (n * 1_000) / perSecond;
    if (due > performance.now()) await sleep(Math.max(1, due - performance.now()));
    const endpoint = (n * 611) % endpoints; // each in turn, in a scattered order
    if (endpoint < bad && way === 'absent') continue;
    recording.push(
      enqueueWebhook(createPostgresOutbox(db), customer.to(String(endpoint)), { at: now() }).then(() =>
        notify([place]),
      ),
    );
  }
  await Promise.all(recording);
  const open = `select status, attempts, last_error, available_at, claimed_at, group_key from waybill.outbox_messages
    where payload ? 'to' and (payload ->> 'to')::int >= ${bad} and delivered_at is null limit 5`;
  await until(async () => (await db.executeSql(open)).rows.length === 0).catch(async (error: unknown) => {
    const left = JSON.stringify((await db.executeSql(open)).rows);
    throw new Error(`webhooks to endpoints that answer are not delivered: ${left}`, { cause: error });
  });
  const { latencies, bad: attempts } = await taken(receivers);
  return {
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    received: latencies.length,
    bad: attempts,
  };
}

async function taken(receivers: Load['receivers']): Promise<{ latencies: number[]; bad: number }> {
  const answer = once(receivers, 'message');
  receivers.send('take');
  return ((await answer) as [{ latencies: number[]; bad: number }])[0];
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const began = performance.now(); !(await condition()); await sleep(50))
    if (performance.now() - began > 60_000) throw new Error('what was awaited did not come within a minute');
}
