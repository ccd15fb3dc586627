// The order benchmark: what order keys cost. The same messages with and without them, recorded by 16 connections and worked off by four workers, in
// alternating rounds.

import { setTimeout as sleep } from 'node:timers/promises';
import { createOutboxJobDispatcher } from '../src/index.ts';
import { pauseSql, resumeSql } from '../src/queues/queues.ts';
import { createPostgresOutbox } from '../src/store/postgres.ts';
import { noop } from './app.ts';
import { cpuMs } from './cpu.ts';
import { openField, type Field } from './field.ts';
import { count, tell } from './progress.ts';
import { alternate, median, summary } from './rounds.ts';

export type OrderOptions = {
  readonly keys?: number;
  /** Of each key. */
  readonly messages?: number;
  readonly rounds?: number;
};

const workers = 4;
const writers = 16;
/** Messages in one transaction: each of another key. */
const together = 10;

const ways = ['without keys', 'with keys'] as const;
type Way = (typeof ways)[number];

export async function order({ keys = 1_000, messages = 50, rounds = 5 }: OrderOptions = {}) {
  const field = await openField({ peers: [], roles: ['relay', ...Array<'jobs'>(workers).fill('jobs')] });
  const size = keys * messages;
  const recorded = new Map<Way, number[]>(ways.map((way) => [way, []]));
  const postgres = new Map<Way, number[]>(ways.map((way) => [way, []]));
  try {
    const measured = await alternate(ways, rounds + 1, async (way, round) => {
      tell(
        `order, ${round === 0 ? 'warming up' : `round ${round} of ${rounds}`}: ${count(size)} messages ${way}`,
      );
      await field.ours.db.executeSql(pauseSql, ['jobs', 'bench', 'messages are put in', null, null]);
      const before = performance.now();
      await put(field, way, keys, messages);
      recorded.get(way)!.push(size / ((performance.now() - before) / 1_000));
      const cpu = cpuMs([field.postmaster]);
      const ms = await drain(field);
      postgres.get(way)!.push(((cpuMs([field.postmaster]) - cpu) * 1_000) / size);
      await field.ours.clear();
      return size / (ms / 1_000);
    });
    const of = (way: Way) => ({
      perSecond: summary(measured.get(way)!.slice(1)),
      recordedPerSecond: median(recorded.get(way)!.slice(1)),
      /** Microseconds of Postgres for each delivery. */
      postgres: median(postgres.get(way)!.slice(1)),
    });
    const [without, keyed] = ways.map((way) => measured.get(way)!.slice(1));
    return {
      keys,
      messages: size,
      without: of('without keys'),
      keyed: of('with keys'),
      ratio: median(keyed!.map((rate, i) => rate / without![i]!)),
    };
  } finally {
    await field.end();
  }
}

async function put({ ours }: Field, way: Way, keys: number, messages: number): Promise<void> {
  const transactions: { payload: Record<string, never>; orderKey?: string }[][] = [];
  for (let n = 0; n < messages; n++)
    for (let key = 0; key < keys; key += together)
      transactions.push(
        Array.from({ length: Math.min(together, keys - key) }, (_, i) => ({
          payload: {},
          ...(way === 'with keys' && { orderKey: `account-${key + i}` }),
        })),
      );
  transactions.reverse();
  await Promise.all(
    Array.from({ length: writers }, async () => {
      for (let its = transactions.pop(); its; its = transactions.pop()) {
        const records = its;
        await ours.db.transaction((tx) =>
          createOutboxJobDispatcher(createPostgresOutbox(tx)).dispatchMany(noop, records),
        );
      }
    }),
  );
}

/** Milliseconds until everything is delivered. */
async function drain({ ours: { db } }: Field): Promise<number> {
  const began = performance.now();
  await db.executeSql(resumeSql, ['jobs']);
  const open = `select from waybill.outbox_messages where delivered_at is null limit 1`;
  while ((await db.executeSql(open)).rows.length > 0) await sleep(20);
  return performance.now() - began;
}
