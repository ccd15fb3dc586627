// The flat benchmark: whether the rate depends on a longer backlog, settled rows, messages for tomorrow, or a transaction held open elsewhere.
// Each contender is compared with itself: its rate with the load to its rate without, in alternating rounds.

import pg from 'pg';
import type { Contender } from './contender.ts';
import { openField, type Field } from './field.ts';
import { count, during } from './progress.ts';
import { median } from './rounds.ts';

/** Messages of each drain. */
const measured = 10_000;
/** Drains of each measurement, one after another: single drains of a fifth of a second differ by a half. */
const drains = 5;

export type FlatOptions = {
  readonly waiting?: number;
  readonly settled?: number;
  readonly later?: number;
  /** Messages drained while the transaction is held open, before the measurement beside it. */
  readonly held?: number;
  readonly rounds?: number;
};

export type Flat = FlatOptions & {
  /** Messages a second by contender and load: of each round the rate without and with the load, medians of five drains. */
  readonly rounds: Readonly<Record<string, Readonly<Record<string, readonly (readonly [number, number])[]>>>>;
  /** Rate with the load to rate without it; medians. */
  readonly ratios: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Peers that were not measured, and why. */
  readonly leftOut: Readonly<Record<string, string>>;
};

type Load = {
  readonly name: string;
  readonly of: string;
  /** May return a function that removes the load. */
  prepare(contender: Contender): Promise<(() => Promise<void>) | void>;
};

export async function flat(options: FlatOptions = {}): Promise<object> {
  const { waiting = 100_000, settled = 200_000, later = 50_000, held = 20_000, rounds = 2 } = options;
  const field = await openField({ peers: ['pg-boss', 'graphile-worker'] });
  const loads: Load[] = [
    {
      name: 'waiting',
      of: `${count(waiting)} waiting`,
      prepare: async (contender) => backlog(field, contender, waiting - 2 * measured),
    },
    {
      name: 'settled',
      of: `${count(settled)} settled`,
      prepare: async (contender) => settle(field, contender, settled),
    },
    {
      name: 'later',
      of: `${count(later)} for tomorrow`,
      async prepare(contender) {
        await contender.fillLater(later);
        await settleDown(field, contender);
      },
    },
    {
      name: 'held',
      of: 'a transaction held open',
      prepare: async (contender) => holdOpen(field, contender, held),
    },
  ];
  try {
    const all: Record<string, Record<string, [number, number][]>> = {};
    const contenders = [field.ours, ...field.peers];
    for (const contender of contenders)
      await field.attempt(contender, () => during(`flat: ${contender.name} warms up`, warmUp(contender)));
    for (const load of loads)
      for (let round = 0; round < rounds; round++)
        for (const contender of contenders) {
          const where = `flat, ${load.name}, round ${round + 1} of ${rounds}: ${contender.name}`;
          const pair = await field.attempt(contender, () => beside(where, load, contender));
          if (pair) ((all[contender.name] ??= {})[load.name] ??= []).push(pair);
        }
    const ratios = Object.entries(all).map(([name, its]) => [
      name,
      Object.fromEntries(
        Object.entries(its).map(([load, pairs]) => [load, median(pairs.map(([a, b]) => b / a))]),
      ),
    ]);
    return {
      waiting,
      settled,
      later,
      held,
      rounds: all,
      ratios: Object.fromEntries(ratios),
      leftOut: field.leftOut,
    };
  } finally {
    await field.end();
  }
}

/** Rates without the load and with it. */
async function beside(where: string, { of, prepare }: Load, contender: Contender): Promise<[number, number]> {
  const drained = `${where} drains ${drains} times ${count(measured)}`;
  const without = await during(drained, rate(contender));
  await contender.clear();
  const undo = await during(`${where}: its load is made, ${of}`, prepare(contender));
  try {
    const loaded = await during(`${drained} beside ${of}`, rate(contender));
    return [without, loaded];
  } finally {
    if (undo) await undo();
    await during(`${where}: all is taken out`, contender.clear());
  }
}

/** Keeps one-time costs of a process and a database out of the measurement. */
async function warmUp(contender: Contender): Promise<void> {
  await rate(contender);
  await contender.clear();
}

/** The rate of the first messages, while as many again wait behind them. */
async function rate(contender: Contender): Promise<number> {
  const rates: number[] = [];
  for (let i = 0; i < drains; i++) {
    await contender.fill(2 * measured);
    rates.push(measured / ((await contender.drain(measured, false)) / 1_000));
  }
  return median(rates);
}

async function run(url: string, sql: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  await client.query(sql);
  return client;
}

const tables: Readonly<Record<string, string>> = {
  waybill: 'waybill.outbox_messages',
  'pg-boss': 'pgboss.job',
  'graphile-worker': 'graphile_worker._private_jobs',
};

/** Does not leave autovacuum to chance: plans follow the statistics of a table in which everything waits. */
async function backlog(field: Field, contender: Contender, messages: number): Promise<void> {
  await contender.fill(messages);
  await settleDown(field, contender);
}

/** Keeps the work that these messages leave to autovacuum and the checkpointer out of the measurement: in real use they come over days. */
async function settleDown(field: Field, { name }: Contender): Promise<void> {
  const client = await run(field.url(name), `vacuum analyze ${tables[name]}`);
  await client.query('checkpoint');
  await client.end();
}

/** Inserts rows as they are after settling. graphile-worker keeps none. */
async function settle(field: Field, contender: Contender, rows: number): Promise<void> {
  const many = `generate_series(1, ${rows})`;
  const sql = {
    waybill: `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, status, attempts, relayed_at, delivered_at, revision)
      select waybill.outbox_new_id(), 'job', 'noop', 'jobs', '{}', 10, 'delivered', 1, now(), now(), 0 from ${many}`,
    'pg-boss': `insert into pgboss.job (name, data, state, created_on, started_on, completed_on)
      select 'noop', '{}', 'completed', now(), now(), now() from ${many}`,
  }[contender.name];
  if (!sql) return;
  await (await run(field.url(contender.name), sql)).end();
  await settleDown(field, contender);
}

/** Messages drained meanwhile stay in the table and its indexes, before the measured ones. */
async function holdOpen(field: Field, contender: Contender, before: number): Promise<() => Promise<void>> {
  const client = await run(
    field.url(contender.name),
    'begin isolation level repeatable read; create temporary table held (); select count(*) from pg_class',
  );
  await contender.fill(before);
  await contender.drain(before, true);
  return () => client.end();
}
