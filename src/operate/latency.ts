// How long the newest deliveries of each queue took, read in a bounded number of rows.

import type { Executor } from '../db/executor.ts';
import { firstIdAt } from './filter.ts';

export type Latency = {
  readonly queue: string;
  /** 95 of 100 took at most this long, from the claim to the recorded end. Seconds. */
  readonly p95: number;
  /** So many deliveries were read. */
  readonly deliveries: number;
};

/** Messages that are read: the newest of all queues, and as many before the oldest that is due, where a backlog begins. */
const mostRead = 2_000;

/** Values: the first id that a message can have that was recorded when the oldest due one became due; how many messages. */
export const latencySql = `select queue, p95, deliveries from waybill.delivery_times($1, $2)`;

/** @param oldestDueSeconds how long the oldest due message has waited; null: none is due */
export async function readLatency(
  db: Executor,
  oldestDueSeconds: number | null,
  now: number,
): Promise<Latency[]> {
  const from = firstIdAt(now - (oldestDueSeconds ?? 0) * 1_000);
  return (await db.executeSql<Latency>(latencySql, [from, mostRead])).rows;
}
