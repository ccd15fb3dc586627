// pg-boss alone as the subject. By default a job is tried three times without a delay, and one whose worker died is active for 15 minutes. Tuned, as
// its documentation recommends for jobs that matter: retries with backoff, an expiry, and heartbeats.

import { PgBoss } from 'pg-boss';
import type { Part, Subject, Where } from '../subject.ts';
import { countBy, jobsOf, linesBy, waitingBy, workersOf, worksBy } from './peer.ts';

const names = ['email', 'job', 'listener', 'account'];
const parts: readonly Part[] = ['email', 'job', 'event-first', 'event-second', 'account'];
/** The shortest heartbeat that it takes. */
const tuned = {
  retryLimit: 100,
  retryDelay: 1,
  retryBackoff: true,
  retryDelayMax: 5,
  expireInSeconds: 60,
  heartbeatSeconds: 10,
};

export function pgBoss(isTuned: boolean): Subject {
  let boss: PgBoss | undefined;
  return {
    name: isTuned ? 'pg-boss, tuned' : 'pg-boss',
    about: {
      version: '12.35.0',
      processes: 'worker ×4',
      settings: isTuned ? JSON.stringify(tuned) : 'defaults',
    },
    parts,
    placesOnce: true,
    prepare: async (where) => void (boss = await opened(where, isTuned)),
    processes: (where) => workersOf('pg-boss-worker.mjs', where, { TUNED: isTuned ? 'yes' : 'no' }),
    async place(tx, order) {
      const db = { executeSql: (sql: string, values?: unknown[]) => tx.query(sql, values) };
      for (const { name, data } of jobsOf(order, parts))
        await boss!.send(name, data, { db, ...(data.account ? { singletonKey: data.account } : {}) });
    },
    waiting: (db) => waitingBy(db, waitingSql, [names]),
    inFlight: async () => undefined,
    held: (db) => worksBy(db, `select data ->> 'work' as work from pgboss.job where state < 'completed'`),
    ending: async (db) => ({
      foundDead: [],
      columns: { 'jobs given up': await countBy(db, failedSql) },
      breaches: [],
    }),
    timeline: (db, work) => linesBy(db, timelineSql, work),
    end: async () => boss?.stop({ graceful: false }),
  };
}

async function opened({ directUrl }: Where, isTuned: boolean): Promise<PgBoss> {
  const boss = new PgBoss({ connectionString: directUrl, supervise: false, schedule: false });
  boss.on('error', () => undefined); // faults end its connections, too
  await boss.start();
  for (const name of names) {
    const policy = name === 'account' ? { policy: 'key_strict_fifo' as const } : {};
    await boss.createQueue(name, { ...policy, ...(isTuned ? tuned : {}) });
  }
  return boss;
}

const waitingSql = `select format('%s in the queue %s', state, name) as what, count(*)::int as count from pgboss.job
  where name = any($1) and state < 'completed' group by 1`;
const failedSql = `select count(*)::int as n from pgboss.job where state = 'failed'`;
const timelineSql = `
  select format('%s %s: %s, %s of %s retries, started %s: %s', id, name, state, retry_count, retry_limit, started_on, output) as line
    from pgboss.job where data ->> 'work' = $1`;
