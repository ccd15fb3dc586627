// From the commit to the start of the handler, one message at a time on an idle fleet: one relay, one worker, separate processes.

import { setTimeout as sleep } from 'node:timers/promises';
import { createNudge } from '../src/outbox/nudge.ts';
import { createPostgresOutbox } from '../src/outbox/postgres.ts';
import type { BenchWorld } from './world.ts';

export type Latency = { readonly rounds: readonly number[]; readonly p50: number; readonly p99: number };

/** Milliseconds. `floor`: a NOTIFY and a commit on this machine, for comparison in the same run. */
export async function latency(
  { db, start }: BenchWorld,
  count = 300,
): Promise<Latency & { readonly commitP50: number }> {
  await start('relay');
  await start('jobs');
  const nudge = createNudge(db, (error) => console.error(error));
  const committed = new Map<string, number>();
  const commits: number[] = [];
  for (let i = -20; i < count; i++) {
    const before = performance.now();
    const { id } = await db.transaction((tx) =>
      createPostgresOutbox(tx).enqueue({ kind: 'job', name: 'tell', queue: 'jobs', payload: {} }),
    );
    nudge();
    if (i >= 0) committed.set(id, performance.timeOrigin + performance.now());
    commits.push(performance.now() - before);
    await sleep(20 + (i % 7));
  }
  while (
    (await db.executeSql(`select from waybill.outbox_messages where status <> 'delivered' limit 1`)).rows
      .length > 0
  )
    await sleep(50);
  const { rows } = await db.executeSql<{ message_id: string; ms: number }>(
    'select message_id, ms from began',
  );
  const rounds = rows
    .flatMap(({ message_id, ms }) => (committed.has(message_id) ? [ms - committed.get(message_id)!] : []))
    .toSorted((a, b) => a - b);
  return {
    rounds,
    p50: quantile(rounds, 0.5),
    p99: quantile(rounds, 0.99),
    commitP50: quantile(
      commits.toSorted((a, b) => a - b),
      0.5,
    ),
  };
}

export function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}
