// The idle benchmark: statements a second and megabytes of each idle process, and transactions left open. Each process has its own database user,
// because pg_stat_statements counts by user.

import { setTimeout as sleep } from 'node:timers/promises';
import { residentMb } from './cpu.ts';
import { openField } from './field.ts';
import type { Role } from './work.ts';

const roles: readonly Role[] = ['relay', 'jobs', 'email', 'scheduler', 'web', 'all'];

/** @param seconds a multiple of ten, the longest interval of an idle loop, so that each loop is counted as often as it runs */
export async function idle({ seconds = 20 }: { seconds?: number } = {}) {
  const field = await openField({
    peers: [],
    roles: [],
    settings: { shared_preload_libraries: 'pg_stat_statements' },
  });
  const { db } = field.ours;
  try {
    await db.executeSql('create extension pg_stat_statements');
    const processes: (readonly [Role, number])[] = [];
    for (const role of roles) {
      await db.executeSql(`create role idle_${role} superuser login password 'idle'`);
      const url = new URL(field.url('waybill'));
      [url.username, url.password] = [`idle_${role}`, 'idle'];
      processes.push([role, (await field.ours.start(role, { DATABASE_URL: url.href, PORT: '0' })).pid]);
    }
    await sleep(5_000); // excludes the cost of starting; no signal tells when it is over
    await db.executeSql('select pg_stat_statements_reset()');
    let openTransactions = 0;
    for (let i = 0; i < seconds * 2; i++) {
      const open = `select count(*)::int as n from pg_stat_activity where state like 'idle in transaction%'`;
      openTransactions += (await db.executeSql<{ n: number }>(open)).rows[0]!.n;
      await sleep(500); // two samples in each measured second
    }
    const counted = `
      select substr(rolname, 6) as role, sum(calls)::int as calls from pg_stat_statements join pg_roles r on r.oid = userid
       where rolname like 'idle\\_%' group by rolname`;
    const { rows } = await db.executeSql<{ role: string; calls: number }>(counted);
    const callsOf = new Map(rows.map(({ role, calls }) => [role, calls]));
    return {
      seconds,
      statementsPerSecond: Object.fromEntries(
        roles.map((role) => [role, (callsOf.get(role) ?? 0) / seconds]),
      ),
      openTransactions,
      residentMb: Object.fromEntries(processes.map(([role, pid]) => [role, residentMb(pid)])),
    };
  } finally {
    await field.end();
  }
}
