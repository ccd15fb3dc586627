// graphile-worker as the subject. A job whose worker died is locked for four hours; nothing in its settings shortens that.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Part, Subject } from '../subject.ts';
import { project } from '../waybill.ts';
import { countBy, jobsOf, linesBy, waitingBy, workersOf, worksBy } from './peer.ts';

const parts: readonly Part[] = ['email', 'job', 'event-first', 'event-second', 'account'];
const worker = 'graphile-worker-worker.mjs';

export function graphileWorker(): Subject {
  return {
    name: 'graphile-worker',
    about: { version: '0.18.0', processes: 'worker ×4', settings: 'defaults' },
    parts,
    placesOnce: true,
    async prepare(where) {
      const [{ args, env }] = workersOf(worker, where, {}) as [ReturnType<typeof workersOf>[number]];
      const given = { cwd: project, env: { ...env, DATABASE_URL: where.directUrl } };
      await promisify(execFile)(process.execPath, [...args, 'migrate'], given);
    },
    processes: (where) => workersOf(worker, where, {}),
    async place(tx, order) {
      for (const { name, data } of jobsOf(order, parts))
        await tx.query('select graphile_worker.add_job($1, $2::json, queue_name := $3)', [
          name,
          JSON.stringify(data),
          data.account ?? null,
        ]);
    },
    waiting: (db) => waitingBy(db, waitingSql, []),
    inFlight: async () => undefined,
    held: (db) => worksBy(db, `select payload ->> 'work' as work ${open}`),
    ending: async (db) => ({
      foundDead: [],
      columns: { 'jobs given up': await countBy(db, failedSql) },
      breaches: [],
    }),
    timeline: (db, work) => linesBy(db, timelineSql, work),
  };
}

const open = `from graphile_worker._private_jobs where attempts < max_attempts or locked_at is not null`;
const waitingSql = `
  select case when locked_at is null then 'jobs that wait' else 'jobs that a worker holds' end as what, count(*)::int as count ${open} group by 1`;
const failedSql = `
  select count(*)::int as n from graphile_worker._private_jobs where attempts >= max_attempts and locked_at is null`;
const timelineSql = `
  select format('%s: attempt %s of %s, due %s, locked %s by %s: %s', id, attempts, max_attempts, run_at, locked_at, locked_by, last_error) as line
    from graphile_worker._private_jobs where payload ->> 'work' = $1`;
