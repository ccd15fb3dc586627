// A job of BullMQ in our words. The names of the fields are those of its hash in Redis.

import { createHash } from 'node:crypto';
import type { BullmqClient } from './bullmq-client.ts';
import { clampedPriority, type SourceJob } from './source.ts';

/** The lists and sets in which a job waits. */
export const waiting = ['wait', 'paused', 'prioritized', 'delayed'] as const;
/** A state of one queue: a list or a set of jobs. */
export type At = { readonly queue: string; readonly state: (typeof waiting)[number] | 'failed' };

/** What `waybillRead` returns of a job. */
export type Row = readonly [
  id: string,
  score: string,
  name: string,
  data: string,
  opts: string,
  timestamp: string,
  delay: string,
  priority: string,
  attempts: string,
  attemptsBefore: string,
  deduplication: string,
  stays: string,
];

/** A Redis of BullMQ, and the prefix of its keys. */
export type Redis = {
  readonly client: BullmqClient;
  readonly prefix: string;
  /** Of all queues. */
  readonly queues: () => Promise<readonly string[]>;
};

export const baseOf = ({ prefix }: Redis, queue: string): string => `${prefix}:${queue}:`;

/** Of the data of the jobs of a page, so that Redis and this process need not hold thousands of large ones. */
const pageBytes = 8 * 1_048_576;

/** Jobs of a state in the order in which workers would start them: none only at its end. */
export async function readRows(
  redis: Redis,
  { queue, state }: At,
  start: number,
  count: number,
): Promise<Row[]> {
  return (await redis.client.run('waybillRead', [
    baseOf(redis, queue),
    state,
    start,
    count,
    pageBytes,
  ])) as Row[];
}

/** It looks at all keys of Redis. */
export async function queuesOf({
  client,
  prefix,
}: Pick<Redis, 'client' | 'prefix'>): Promise<readonly string[]> {
  const names = new Set<string>();
  const pattern = prefix.replaceAll(/[\\*?[\]^]/g, String.raw`\$&`);
  let cursor = '0';
  do {
    const [next, found] = (await client.run('waybillQueues', [prefix, cursor, pattern])) as [
      string,
      string[],
    ];
    // A queue of BullMQ has no colon in its name: this one is of a longer prefix.
    for (const name of found) if (!name.includes(':')) names.add(name);
    cursor = next;
  } while (cursor !== '0');
  return [...names].toSorted();
}

/** Not a job without content, of a flow, or the next one of a scheduler. */
export const isImported = (row: Row): boolean => row[11] === '';

/** By which a script knows that nothing of a job has changed: its data, its time, its attempts. */
export const rowDigest = (row: Row): string => sha1(row.slice(1, 11).join('\0'));

const sha1 = (text: string): string => createHash('sha1').update(text).digest('hex');

/** BullMQ keeps a due time in ms times 4,096, with a counter in the rest. */
const dueScale = 4_096;

/** The times of JavaScript end in the year 275,760; such a job does not fit. */
const isoOf = (ms: number): string =>
  Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : 'beyond all dates';

function attemptsOf(opts: string): number {
  const { attempts } = JSON.parse(opts || '{}') as { readonly attempts?: number };
  return Number(attempts) || 1;
}

export function jobOf(row: Row, { queue, state }: At): SourceJob {
  const [id, score, name, json, opts, timestamp, delay, priority, attempts, before, deduplication] = row;
  const made = state === 'failed' ? 0 : Number(attempts || before || 0);
  const added = Number(timestamp) || 0;
  const due =
    state === 'delayed'
      ? Math.floor(Number(score) / dueScale)
      : Math.min(Date.now(), added + (Number(delay) || 0));
  const key = deduplication || (/^\d+$/.test(id) ? undefined : id);
  return {
    id,
    // An id may be used again when its job is gone. An application may set ids and times, so the data tells jobs apart, too.
    made: `${added}-${sha1(json).slice(0, 16)}`,
    queue: `${queue}/${name}`,
    within: queue,
    json,
    dueAt: isoOf(due),
    priority: clampedPriority(-(Number(priority) || 0)), // there lower numbers go first, and jobs without one before them
    attemptsLeft: Math.max(1, attemptsOf(opts) - made),
    ...(key !== undefined && { key }),
  };
}
