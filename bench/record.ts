// The price of recording: a transaction with one business insert and one enqueue, beside the same transaction with a second plain
// insert in its place. 16 connections, alternating rounds.

import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { createPostgresOutbox } from '../src/outbox/postgres.ts';
import { enqueueJob } from '../src/define/recorder.ts';
import { noop } from './app.ts';
import type { BenchWorld } from './world.ts';

export type Recording = {
  readonly connections: number;
  readonly secondsPerRound: number;
  /** Transactions a second of each round. */
  readonly rounds: readonly { readonly plain: number; readonly enqueue: number }[];
  readonly plainPerSecond: number;
  readonly enqueuePerSecond: number;
  /** Median of the rounds' ratios. */
  readonly ratioToPlainInsert: number;
};

const connections = 16;
const secondsPerRound = 4;

type Second = (client: pg.PoolClient) => Promise<unknown>;

const plain: Second = (client) =>
  client.query('insert into plain (id, payload) values ($1, $2)', [randomUUID(), '{"plantId":1}']);
const enqueue: Second = (client) => enqueueJob(createPostgresOutbox(client), noop, {});

export async function record({ db, url }: BenchWorld, rounds = 5): Promise<Recording> {
  await db.executeSql('create table business (id uuid primary key, total int, at timestamptz default now())');
  await db.executeSql(
    'create table plain (id uuid primary key, payload jsonb, at timestamptz default now())',
  );
  const pool = new pg.Pool({ connectionString: url, max: connections });
  pool.on('error', () => undefined); // the server ends before the last idle connection has said goodbye
  try {
    await transactions(pool, plain, 1);
    await transactions(pool, enqueue, 1);
    const measured: { plain: number; enqueue: number }[] = [];
    for (let round = 0; round < rounds; round++) {
      // Whoever comes first changes with each round.
      const first = round % 2 === 0 ? plain : enqueue;
      const second = first === plain ? enqueue : plain;
      const rates = new Map([[first, await transactions(pool, first, secondsPerRound)]]);
      rates.set(second, await transactions(pool, second, secondsPerRound));
      measured.push({ plain: rates.get(plain)!, enqueue: rates.get(enqueue)! });
    }
    return {
      connections,
      secondsPerRound,
      rounds: measured,
      plainPerSecond: median(measured.map((one) => one.plain)),
      enqueuePerSecond: median(measured.map((one) => one.enqueue)),
      ratioToPlainInsert: median(measured.map((one) => one.enqueue / one.plain)),
    };
  } finally {
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

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!;
}
