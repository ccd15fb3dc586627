// graphile-worker as a source: the tables `_private_jobs`, `_private_tasks` and `_private_job_queues` in its schema, from migration 16 on. The map names
// tasks. A queue of graphile-worker, whose jobs run one after another, becomes an order key.

import type { Executor } from '../db/executor.ts';
import { momentText } from '../db/moment.ts';
import { arrayText } from '../db/values.ts';
import { columnsOf, quoted, unsupported, type Found, type Key, type Tables } from './postgres-source.ts';
import { clampedPriority, type SourceQueue, type SourceSchedule, type Walk } from './source.ts';

const name = 'graphile-worker';

/** The migration that gave the tables their names, and that of graphile-worker 0.18, the newest that was tested. */
const [oldestMigration, testedMigration] = [16, 20];

type Row = {
  readonly made: string;
  readonly task: string;
  readonly payload: string;
  readonly priority: number;
  readonly left: number;
  readonly due: string;
  readonly key: string | null;
  readonly queue: string | null;
  readonly number: string;
};

type KeyRow = {
  readonly task: string;
  readonly moment: string;
  readonly start: string;
  readonly priority: number;
  readonly run: string;
  readonly number: string;
};

export function graphileWorkerTables(schemaName = 'graphile_worker'): Tables {
  const schema = quoted(schemaName);
  return {
    name,
    schema,
    async survey(db) {
      const version = await checkedVersion(db, schemaName);
      const queues = await db.executeSql<SourceQueue>(surveySql(schema));
      const schedules = await db.executeSql<SourceSchedule>(
        `select identifier as name, 'the crontab of graphile-worker' as schedule, 'UTC' as "timeZone"
           from ${schema}._private_known_crontabs order by identifier`,
      );
      return { version: `migration ${version}`, queues: queues.rows, schedules: schedules.rows };
    },
    async keys(db, walk) {
      return (await db.executeSql<KeyRow>(keysSql(schema, walk.failed), valuesOf(walk))).rows.map(keyOf);
    },
    async jobs(db, keys, how) {
      const values = [arrayText(keys.map(({ key }) => key))];
      return (await db.executeSql<Row>(jobsSql(schema, how), values)).rows.map(foundOf);
    },
    async sizes(db, keys) {
      const values = [arrayText(keys.map(({ key }) => key))];
      const { rows } = await db.executeSql<{ bytes: number }>(sizesSql(schema), values);
      return rows.map(({ bytes }) => bytes);
    },
    async remove(tx, jobs) {
      const sql = `delete from ${schema}._private_jobs where id = any($1::text::bigint[])`;
      await tx.executeSql(sql, [arrayText(jobs.map(({ id }) => id))]);
    },
  };
}

async function checkedVersion(db: Executor, schemaName: string): Promise<number> {
  await columnsOf(db, { name, schema: schemaName, table: 'migrations' });
  const { rows } = await db.executeSql<{ version: number }>(
    `select max(id)::int as version from ${quoted(schemaName)}.migrations`,
  );
  const version = rows[0]?.version ?? 0;
  if (version < oldestMigration || version > testedMigration)
    throw unsupported(
      name,
      `its last migration is ${version}, and ${oldestMigration} to ${testedMigration} can be read (up to graphile-worker 0.18)`,
    );
  await columnsOf(db, { name, schema: schemaName, table: '_private_jobs' });
  return version;
}

/** No worker has it. After four hours a worker takes the lock of another one for dead (resetLockedAt of graphile-worker); here none may run any more. */
const isFree = `coalesce(j.locked_at < now() - interval '4 hours', true)`;

const waits = (failed: boolean): string => `(${isFree} and j.attempts ${failed ? '>=' : '<'} j.max_attempts)`;

const surveySql = (schema: string): string => `
  select t.identifier as queue,
         (count(*) filter (where ${waits(false)}))::int as pending, 0 as "inFlows",
         (count(*) filter (where not ${isFree}))::int as "inFlight",
         (count(*) filter (where ${waits(true)}))::int as failed
    from ${schema}._private_jobs j join ${schema}._private_tasks t on t.id = j.task_id
   group by t.identifier order by t.identifier`;

/**
 * Values: tasks, the place (moment of the walk, start, priority, due time, id), limit. Those that are due come in the order in which workers fetch them
 * (getJobs of graphile-worker); the others come by their due times, because a later job must not hold back an earlier one of its order key.
 */
const keysSql = (schema: string, failed: boolean): string => `
  select t.identifier as task, w.moment::text as moment, greatest(j.run_at, w.moment)::text as start, j.priority::int as priority, j.run_at::text as run,
         j.id::text as number
    from ${schema}._private_jobs j join ${schema}._private_tasks t on t.id = j.task_id, (select coalesce($2::text::timestamptz, now()) as moment) w
   where t.identifier = any($1::text::text[]) and ${waits(failed)}
     and (greatest(j.run_at, w.moment), j.priority, j.run_at, j.id) > ($3::text::timestamptz, $4::int, $5::text::timestamptz, $6::text::bigint)
   order by greatest(j.run_at, w.moment), j.priority, j.run_at, j.id limit $7`;

/** Values: ids. */
const sizesSql = (schema: string): string => `
  select coalesce(octet_length(j.payload::text), 0) as bytes
    from unnest($1::text::bigint[]) with ordinality as n(id, n) left join ${schema}._private_jobs j on j.id = n.id order by n.n`;

/** Values: ids. */
const jobsSql = (
  schema: string,
  { failed, lock }: { readonly failed: boolean; readonly lock: boolean },
): string => `
  select to_char(j.created_at at time zone 'UTC', 'YYYYMMDDHH24MISSUS') as made, t.identifier as task, j.payload::text as payload, j.priority::int as priority,
         (case when j.attempts < j.max_attempts then j.max_attempts - j.attempts else j.max_attempts end)::int as left,
         ${momentText('j.run_at')} as due, j.key, q.queue_name as queue, j.id::text as number
    from ${schema}._private_jobs j join ${schema}._private_tasks t on t.id = j.task_id
    left join ${schema}._private_job_queues q on q.id = j.job_queue_id
   where j.id = any($1::text::bigint[]) and ${waits(failed)}${lock ? ' for update of j skip locked' : ''}`;

function valuesOf({ queues, after, limit }: Walk): unknown[] {
  const {
    moment = null,
    start = '-infinity',
    priority = -32_769,
    run = '-infinity',
    number = '0',
  } = after ?? {};
  return [arrayText(queues.map(({ queue }) => queue)), moment, start, priority, run, number, limit];
}

const keyOf = ({ task: queue, number, ...place }: KeyRow): Key => ({
  queue,
  key: number,
  place: { ...place, number },
});

function foundOf({ made, task, payload, priority, left, due, key, queue, number }: Row): Found {
  return {
    key: number,
    job: {
      id: number,
      made, // a schema that was made anew counts from 1 again
      queue: task,
      json: payload,
      dueAt: due,
      priority: clampedPriority(-priority), // there lower numbers go first
      attemptsLeft: left,
      ...(key !== null && { key }),
      ...(queue !== null && { orderKey: queue }),
    },
  };
}
