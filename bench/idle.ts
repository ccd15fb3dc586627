// What an idle fleet costs: statements a second and megabytes of each process, transactions left open.

import { setTimeout as sleep } from 'node:timers/promises';
import { residentMb } from './cpu.ts';
import { openField } from './field.ts';
import type { Role } from './waybill.ts';

export async function idle({ seconds = 15 }: { seconds?: number } = {}) {
  const roles: readonly Role[] = ['relay', 'jobs', 'email', 'scheduler'];
  const field = await openField({
    peers: [],
    roles: [],
    settings: { shared_preload_libraries: 'pg_stat_statements' },
  });
  const { db } = field.ours;
  try {
    await db.executeSql('create extension pg_stat_statements');
    const statementsPerSecond: Record<string, number> = {};
    const residentMbOf: Record<string, number> = {};
    let openTransactions = 0;
    let before = 0;
    // One after another: what a process adds is its own.
    for (const role of roles) {
      const child = await field.ours.start(role);
      await sleep(5_000);
      const counted = `select coalesce(sum(calls), 0)::int as n from pg_stat_statements where query !~* 'pg_stat'`;
      await db.executeSql('select pg_stat_statements_reset()');
      for (let i = 0; i < seconds * 2; i++) {
        const open = `select count(*)::int as n from pg_stat_activity where state like 'idle in transaction%'`;
        openTransactions += (await db.executeSql<{ n: number }>(open)).rows[0]!.n;
        await sleep(500);
      }
      const rate = (await db.executeSql<{ n: number }>(counted)).rows[0]!.n / seconds;
      statementsPerSecond[role] = rate - before;
      before = rate;
      residentMbOf[role] = residentMb(child.pid);
    }
    return { seconds, statementsPerSecond, openTransactions, residentMb: residentMbOf };
  } finally {
    await field.end();
  }
}
