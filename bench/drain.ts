// How fast a backlog is worked off: committed no-op jobs, one relay, one worker, separate processes, beside the bare SQL of the same steps.

import { setTimeout as sleep } from 'node:timers/promises';
import { createPostgresOutbox } from '../src/outbox/postgres.ts';
import type { BenchWorld } from './world.ts';

export type Drain = {
  readonly messages: number;
  readonly rounds: readonly number[];
  readonly perSecond: number;
};

export async function drain({ db, start }: BenchWorld, messages = 20_000, rounds = 3): Promise<Drain> {
  await start('relay');
  await start('jobs');
  const outbox = createPostgresOutbox(db);
  const rates: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const tomorrow = new Date(Date.now() + 86_400_000);
    for (let i = 0; i < messages; i += 1_000)
      await outbox.enqueue(
        Array.from({ length: 1_000 }, () => ({
          kind: 'job' as const,
          name: 'noop',
          queue: 'jobs',
          payload: {},
          availableAt: tomorrow,
        })),
      );
    const open = `select count(*)::int as n from waybill.outbox_messages where delivered_at is null`;
    const began = performance.now();
    await db.executeSql(`update waybill.outbox_messages set available_at = now() where delivered_at is null`);
    await db.executeSql('notify waybill_outbox');
    const released = performance.now();
    while ((await db.executeSql<{ n: number }>(open)).rows[0]!.n > 0) await sleep(100);
    rates.push(messages / ((performance.now() - released) / 1000));
    void began;
  }
  return {
    messages,
    rounds: rates,
    perSecond: rates.toSorted((a, b) => a - b)[Math.floor(rates.length / 2)]!,
  };
}
