// The vital signs of a fleet at one moment: memory and open files of its processes, and what its database says.

import { readFileSync, readdirSync } from 'node:fs';
import type { Member } from './processes.ts';
import type { Stage } from './stage.ts';

export const signs = [
  'memory MB',
  'open files',
  'connections',
  'dead rows',
  'index MB',
  'claim p99 ms',
] as const;
export type Sign = (typeof signs)[number];
export type Vitals = Readonly<Record<Sign, number | null>>;

/** Counts of a histogram by the upper edge of its buckets, in seconds; cumulative. */
export type Buckets = ReadonlyMap<number, number>;

/** Memory and files of these processes together, which are not killed: one that was started again would hide a leak. */
export async function vitalsOf(
  { subject, db }: Stage,
  members: readonly Member[],
  before: Buckets,
): Promise<{ vitals: Vitals; buckets: Buckets }> {
  const pids = members.flatMap((one) => one.current()?.pid ?? []);
  const { connections, deadRows, indexBytes, lag } = await subject.vitals!(db);
  const p99 = p99Of(lag, before);
  return {
    buckets: lag,
    vitals: {
      'memory MB': sum(pids.map(residentMb)),
      'open files': sum(pids.map(openFiles)),
      connections,
      'dead rows': deadRows,
      'index MB': indexBytes / 2 ** 20,
      'claim p99 ms': p99,
    },
  };
}

const sum = (values: readonly number[]): number => values.reduce((total, one) => total + one, 0);

function residentMb(pid: number): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+)/m.exec(text)?.[1] ?? 0) / 1_024;
}

const openFiles = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** The ninety-ninth percentile of what was counted since `before`, in milliseconds, interpolated in its bucket; null when nothing was. */
export function p99Of(buckets: Buckets, before: Buckets): number | null {
  const edges = [...buckets.keys()].toSorted((a, b) => a - b);
  const since = edges.map((edge) => (buckets.get(edge) ?? 0) - (before.get(edge) ?? 0));
  const all = since.at(-1) ?? 0;
  if (all <= 0) return null;
  const wanted = 0.99 * all;
  const i = since.findIndex((n) => n >= wanted);
  const [low, high] = [i === 0 ? 0 : edges[i - 1]!, edges[i]!];
  if (!Number.isFinite(high)) return low * 1_000;
  const [below, within] = [i === 0 ? 0 : since[i - 1]!, since[i]! - (i === 0 ? 0 : since[i - 1]!)];
  return 1_000 * (low + ((high - low) * (wanted - below)) / within);
}
