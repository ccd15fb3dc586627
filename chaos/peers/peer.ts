// What the peers have in common as subjects: the parts of an order that each of them can do, and their processes.

import type pg from 'pg';
import { project } from '../waybill.ts';
import { workOf, type Order, type Part, type ProcessSpec, type Waiting, type Where } from '../subject.ts';

/** Two workers for each of Waybill's kinds, so that as many jobs run at a time. */
const workers = 4;

export type PeerJob = {
  readonly name: 'email' | 'job' | 'listener' | 'account';
  readonly data: {
    readonly work: string;
    readonly ms: number;
    readonly account?: string;
    readonly seq?: number;
  };
};

/** A peer has no events: the two listeners are two jobs. */
export function jobsOf(order: Order, parts: readonly Part[]): PeerJob[] {
  const { ms, account, seq } = order;
  const work = (part: Part): string => workOf(order, part);
  const all: readonly (readonly [Part, PeerJob])[] = [
    ['email', { name: 'email', data: { work: work('email'), ms } }],
    ['job', { name: 'job', data: { work: work('job'), ms } }],
    ['event-first', { name: 'listener', data: { work: work('event-first'), ms } }],
    ['event-second', { name: 'listener', data: { work: work('event-second'), ms } }],
    ['account', { name: 'account', data: { work: work('account'), ms: ms / 4, account, seq } }],
  ];
  return all.filter(([part]) => parts.includes(part)).map(([, job]) => job);
}

/** @param file of the worker, beside this one */
export function workersOf(
  file: string,
  { fleetUrl, smtpUrl, slots }: Where,
  more: Readonly<Record<string, string>>,
): ProcessSpec[] {
  return Array.from({ length: workers }, (_, i) => ({
    name: `worker-${i + 1}`,
    args: [`chaos/peers/${file}`],
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: process.env['HOME'] ?? '',
      NODE_COMPILE_CACHE: `${project}.waybill/compiled`,
      DATABASE_URL: fleetUrl,
      SMTP_URL: smtpUrl,
      SLOTS: String(slots),
      ...more,
    },
    ready: 'worker: started',
    delivers: true,
  }));
}

/** The works that a statement lists, in its column `work`. */
export async function worksBy(db: pg.Pool, sql: string): Promise<ReadonlySet<string>> {
  return new Set((await db.query<{ work: string }>(sql)).rows.map(({ work }) => work));
}

/** The number that a statement counts, in its column `n`. */
export async function countBy(db: pg.Pool, sql: string): Promise<number> {
  return (await db.query<{ n: number }>(sql)).rows[0]!.n;
}

/** What a statement says of a work, in its column `line`. */
export async function linesBy(db: pg.Pool, sql: string, work: string): Promise<string[]> {
  return (await db.query<{ line: string }>(sql, [work])).rows.map(({ line }) => line);
}

/** What a statement counts: columns `what` and `count`. */
export async function waitingBy(db: pg.Pool, sql: string, values: readonly unknown[]): Promise<Waiting[]> {
  return (await db.query<Waiting>(sql, [...values])).rows;
}
