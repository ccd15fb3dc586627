// The record benchmark: a transaction with one business insert and one enqueue, beside the same with a second plain insert or a peer's job. 16
// connections, alternating rounds.

import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { PgBoss } from 'pg-boss';
import { createPostgresOutbox } from '../src/store/postgres.ts';
import { enqueueJob } from '../src/define/recorder.ts';
import { noop } from './app.ts';
import { startChild } from './child.ts';
import { alternate, median, summary, type Summary } from './rounds.ts';
import type { BenchWorld } from './world.ts';

export type Recording = {
  readonly connections: number;
  readonly secondsPerRound: number;
  /** Transactions a second of each round. */
  readonly rounds: Readonly<Record<string, readonly number[]>>;
  readonly perSecond: Readonly<Record<string, Summary>>;
  /** Median of the rounds' ratios. */
  readonly ratioToPlainInsert: number;
  /** The same, to a second plain insert that is prepared, as our enqueue is (src/db/prepared.ts). */
  readonly ratioToPreparedInsert: number;
  /** The same, to each peer's way of adding a job inside the transaction. */
  readonly ratios: Readonly<Record<string, number>>;
};

const connections = 16;
const secondsPerRound = 1; // short and many, because other load on the machine comes and goes

/** The second statement of the transaction. */
type Second = (client: pg.PoolClient) => Promise<unknown>;

const insertPlain = 'insert into plain (id, payload) values ($1, $2)';
const plain: Second = (client) => client.query(insertPlain, [randomUUID(), '{"plantId":1}']);
const prepared: Second = (client) =>
  client.query({ name: 'plain', text: insertPlain, values: [randomUUID(), '{"plantId":1}'] });
const enqueue: Second = (client) => enqueueJob(createPostgresOutbox(client), noop, {});
const addJob: Second = (client) => client.query(`select graphile_worker.add_job('noop', '{}')`);

export async function record({ db, url }: BenchWorld, rounds = 21): Promise<Recording> {
  await db.executeSql('create table business (id uuid primary key, total int, at timestamptz default now())');
  await db.executeSql(
    'create table plain (id uuid primary key, payload jsonb, at timestamptz default now())',
  );
  const graphile = startChild(['bench/peers/graphile-worker.mjs'], { DATABASE_URL: url });
  await graphile.ready(); // its schema exists now
  await graphile.end();
  const boss = new PgBoss({ connectionString: url, supervise: false, schedule: false });
  boss.on('error', (error) => console.error(error));
  await boss.start();
  await boss.createQueue('noop');
  const send: Second = (client) =>
    boss.send('noop', {}, { db: { executeSql: (sql, values) => client.query(sql, values) } });
  const pool = new pg.Pool({ connectionString: url, max: connections });
  pool.on('error', () => undefined); // the server ends before the last idle connection is closed
  try {
    const seconds = new Map([
      ['waybill', enqueue],
      ['plain insert', plain],
      ['plain insert, prepared', prepared],
      ['graphile-worker', addJob],
      ['pg-boss', send],
    ]);
    for (const second of seconds.values()) await transactions(pool, second, 1);
    const names = [...seconds.keys()];
    const measured = await alternate(names, rounds, (name) =>
      transactions(pool, seconds.get(name)!, secondsPerRound),
    );
    const ratioTo = (name: string): number =>
      median(measured.get('waybill')!.map((rate, i) => rate / measured.get(name)![i]!));
    return {
      connections,
      secondsPerRound,
      rounds: Object.fromEntries(measured),
      perSecond: Object.fromEntries([...measured].map(([name, its]) => [name, summary(its)])),
      ratioToPlainInsert: ratioTo('plain insert'),
      ratioToPreparedInsert: ratioTo('plain insert, prepared'),
      ratios: { 'graphile-worker': ratioTo('graphile-worker'), 'pg-boss': ratioTo('pg-boss') },
    };
  } finally {
    await boss.stop({ graceful: false });
    await pool.end();
  }
}

/** Transactions a second. */
async function transactions(pool: pg.Pool, second: Second, seconds: number): Promise<number> {
  const began = performance.now();
  const until = began + seconds * 1000;
  let done = 0;
  async function one(): Promise<void> {
    while (performance.now() < until) {
      const client = await pool.connect();
      await client.query('begin');
      await client.query('insert into business (id, total) values ($1, $2)', [randomUUID(), 450]);
      await second(client);
      await client.query('commit');
      client.release();
      done += 1;
    }
  }
  await Promise.all(Array.from({ length: connections }, one));
  return done / ((performance.now() - began) / 1000);
}
