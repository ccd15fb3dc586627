// A job of BullMQ in our words. The names of the fields are those of its hash in Redis.

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
  scheduler: string,
  parent: string,
];

/** A Redis of BullMQ, and the prefix of its keys. */
export type Redis = { readonly client: BullmqClient; readonly prefix: string };

export const baseOf = ({ prefix }: Redis, queue: string): string => `${prefix}:${queue}:`;

/** Jobs of a state in the order in which workers would start them. */
export async function readRows(
  redis: Redis,
  { queue, state }: At,
  start: number,
  count: number,
): Promise<Row[]> {
  return (await redis.client.run('waybillRead', [baseOf(redis, queue), state, start, count])) as Row[];
}

export async function queuesOf({ client, prefix }: Redis): Promise<string[]> {
  const names = new Set<string>();
  let cursor = '0';
  do {
    const [next, found] = (await client.run('waybillQueues', [prefix, cursor])) as [string, string[]];
    for (const name of found) names.add(name);
    cursor = next;
  } while (cursor !== '0');
  return [...names].toSorted();
}

export const nameOf = (row: Row): string => row[2];
export const dataOf = (row: Row): string => row[3];
export const isOfFlow = (row: Row): boolean => row[12] !== '';

/** Not a job without content, of a flow, or the next one of a scheduler. */
export const isImported = (row: Row): boolean => row[3] !== '' && row[11] === '' && !isOfFlow(row);

/** An id may be used again when its job is gone, so the time of its adding belongs to it. */
export const idOf = ({ id }: SourceJob): string => id.slice(0, id.lastIndexOf('@'));

/** BullMQ keeps a due time in ms times 4,096, with a counter in the rest. */
const dueScale = 4_096;

export function jobOf(row: Row, { queue, state }: At): SourceJob {
  const [id, score, name, json, opts, timestamp, delay, priority, attempts, before, deduplication] = row;
  const { attempts: most = 1 } = JSON.parse(opts || '{}') as { readonly attempts?: number };
  const made = state === 'failed' ? 0 : Number(attempts || before || 0);
  const added = Number(timestamp) || 0;
  const due =
    state === 'delayed'
      ? Math.floor(Number(score) / dueScale)
      : Math.min(Date.now(), added + (Number(delay) || 0));
  const key = deduplication || (/^\d+$/.test(id) ? undefined : id);
  return {
    id: `${id}@${added}`,
    queue: `${queue}/${name}`,
    within: queue,
    json,
    dueAt: new Date(due).toISOString(),
    priority: clampedPriority(-(Number(priority) || 0)), // there lower numbers go first, and jobs without one before them
    attemptsLeft: Math.max(1, (Number(most) || 1) - made),
    ...(key !== undefined && { key }),
  };
}
