// Times that Postgres holds and JavaScript does not, in every column that has one: written by SQL, where a trigger was turned off or a check was
// dropped. Each list is shown all the same.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { readCron } from '../../src/cron/overview.ts';
import { listRuns } from '../../src/cron/history.ts';
import { createZones } from '../../src/cron/zones.ts';
import { sqlState } from '../../src/db/diagnosis.ts';
import type { Executor } from '../../src/db/executor.ts';
import { listEmails, showEmail } from '../../src/email/mailbox.ts';
import type { Database } from '../../src/db/pool.ts';
import type { Transaction } from '../../src/db/transaction.ts';
import { createWatch } from '../../src/notice/watch.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { listPage } from '../../src/inbox/list.ts';
import { mailPage } from '../../src/inbox/mail.ts';
import { listSuppressions } from '../../src/email/suppression.ts';
import { listMessages, showMessage } from '../../src/operate/read.ts';
import { readStats, readUnsettled } from '../../src/operate/stats.ts';
import { listQueues } from '../../src/queues/queues.ts';
import { closedQueues, waitLine } from '../../src/queues/waits.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { fleet, standstills } from '../../src/process/heartbeat.ts';
import { readAdvice } from '../../src/scale/decisions.ts';
import { fleetGauges } from '../../src/metrics/gauges.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

const id = '01900000-0000-7000-8000-000000000001';
const rows = `
  insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts) values ('${id}', 'job', 'n', 'q', '{}', 5);
  insert into waybill.outbox_attempts (message_id, attempt, started_at, worker, outcome) values ('${id}', 1, now(), 'w', 'retried');
  insert into waybill.outbox_notes (message_id, type, detail) values ('${id}', 'bounced', 'd');
  insert into waybill.queues (name, paused_at, paused_by, paused_reason, parked_at, parked_by, parked_reason, probe_at, held_at, held_until, held_reason)
    values ('q', now(), 'a', 'r', now(), 'b', 'r', now(), now(), now(), 'r');
  insert into waybill.processes (id, role, host, pid, version) values ('p', 'jobs', 'h', 1, '1');
  insert into waybill.cron_manifests (hash, jobs) values ('m', '[]');
  insert into waybill.cron_jobs (name, manifest, definition, cursor_at, next_at)
    values ('j', 'm', '{"name":"j","schedule":"0 * * * *","timeZone":"UTC","action":"a","args":{}}', now(), now());
  insert into waybill.cron_runs (id, name, action, source, scheduled_at, manifest) values ('${id}', 'j', 'a', 'cron', now(), 'm');
  insert into waybill.inbox_emails (message_id, sender, recipients, subject, source) values ('${id}', 'a@b.test', '{c@d.test}', 's', E'Subject: s\\r\\n\\r\\nt');
  insert into waybill.autoscale (queue, recommended, exact, facts, state) values ('q', 1, 1, '{}', '{}');
  insert into waybill.email_suppressions (address, reason) values ('a@b.test', 'bounced')`;

const zones = createZones();
const lists: Readonly<Record<string, (db: Executor) => Promise<unknown>>> = {
  messages: (db) => listMessages(db),
  message: (db) => showMessage(db, id),
  stats: readStats,
  unsettled: (db) => readUnsettled(db, 60_000),
  queues: listQueues,
  'closed queues': async (db) => (await closedQueues(db)).map(waitLine),
  verify: verifyOutbox,
  fleet,
  cron: (db) => readCron(db, zones),
  runs: (db) => listRuns(db),
  suppressions: (db) => listSuppressions(db),
  inbox: async (db) => listPage({ ...(await listEmails(db)), search: '', later: false } as never),
  email: async (db) => mailPage(await showEmail(db, id)),
  advice: readAdvice,
  gauges: fleetGauges,
  standstills,
  notices: (tx) => {
    const db = {
      ...tx,
      transaction: (work: (inside: Executor) => unknown) => work(tx),
    } as unknown as Database;
    return createWatch({ db, outboxOn: createPostgresOutbox, notify: () => undefined })();
  },
};

let database: TestDatabase;
type Column = { readonly table: string; readonly name: string };
let columns: Column[];
beforeAll(async () => {
  database = await testDatabase();
  for (const sql of rows.split(';')) await database.db.executeSql(sql);
  const sql = `select attrelid::regclass::text as "table", attname as name from pg_attribute join pg_class c on c.oid = attrelid
    where c.relnamespace = 'waybill'::regnamespace and c.relkind = 'r' and atttypid = 'timestamptz'::regtype order by 1, 2`;
  columns = (await database.db.executeSql<Column>(sql)).rows;
});
afterAll(() => database.end());

/** Undoes the transaction, and the test goes on. */
class Undo extends Error {}

/** Dropped here, so that the time gets into the row. The scheduler relies on the others: cron_jobs_times, cron_runs_ticks. */
const dropped = [
  'autoscale_times',
  'autoscale_turn_values',
  'cron_runs_times',
  'processes_times',
  'queue_permits_times',
  'queues_times',
];

type Broken = { readonly list: string; readonly error: string };

/** The lists that fail with this time in the column; undefined when a check refuses it that is not dropped. */
async function brokenBy({ table, name }: Column, time: string): Promise<Broken[] | undefined> {
  let broken: Broken[] | undefined;
  const work = database.db.transaction(async (tx) => {
    await tx.executeSql(`alter table ${table} disable trigger user`);
    for (const constraint of dropped)
      await tx.executeSql(`alter table ${table} drop constraint if exists ${constraint}`);
    await tx.executeSql(`update ${table} set ${name} = '${time}'`);
    broken = [];
    for (const [list, read] of Object.entries(lists)) {
      const error = await failure(tx, read);
      if (error !== undefined) broken.push({ list, error });
    }
    throw new Undo();
  });
  await work.catch((error: unknown) => {
    if (!(error instanceof Undo) && sqlState(error) !== '23514') throw error;
  });
  return broken;
}

/** What the list fails with; undefined when it is shown. In a savepoint, because a failed statement ends its transaction. */
async function failure(
  tx: Transaction,
  read: (db: Executor) => Promise<unknown>,
): Promise<string | undefined> {
  const savepoint = await tx.savepoint();
  try {
    JSON.stringify(await read(tx));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  } finally {
    await savepoint.undo();
  }
}

it.each(['infinity', '-infinity', '294276-12-31', '4000-01-01 BC'])('%s', async (time) => {
  const broken: string[] = [];
  let shown = 0;
  for (const column of columns) {
    const found = await brokenBy(column, time);
    if (found === undefined) continue;
    for (const { list, error } of found) broken.push(`${column.table}.${column.name} in ${list}: ${error}`);
    shown += Object.keys(lists).length - found.length;
  }
  expect(broken).toEqual([]);
  expect(shown).toBeGreaterThan(30 * Object.keys(lists).length);
});
