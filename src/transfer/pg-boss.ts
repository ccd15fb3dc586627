// pg-boss as a source: the table `job` in its schema, from version 11 on. Waybill's own wake-ups may be in the same schema, and are left out.

import type { Executor } from '../db/executor.ts';
import { arrayText } from '../db/values.ts';
import { momentText } from '../db/moment.ts';
import { yearInSeconds } from '../queue/instance.ts';
import { columnsOf, quoted, unsupported, type Found, type Key, type Tables } from './postgres-source.ts';
import { clampedPriority, type SourceQueue, type SourceSchedule, type Walk } from './source.ts';

const name = 'pg-boss';

/** The newest schema that was tested: that of pg-boss 12.35. */
export const testedSchema = 43;
/** That of pg-boss 11, whose names of columns are those of today. */
const oldestSchema = 25;

type Row = {
  readonly id: string;
  readonly name: string;
  readonly data: string | null;
  readonly state: string;
  readonly priority: number;
  readonly left: number;
  readonly due: string;
  readonly key: string | null;
  readonly policy: string | null;
  readonly group: string | null;
};

type KeyRow = {
  readonly id: string;
  readonly name: string;
  readonly rank: number;
  readonly start: string;
  readonly created: string;
};

export function pgBossTables(schemaName = 'pgboss'): Tables {
  const schema = quoted(schemaName);
  let columns: ReadonlySet<string> | undefined;
  const there = async (db: Executor): Promise<ReadonlySet<string>> =>
    (columns ??= await columnsOf(db, { name, schema: schemaName, table: 'job' }));
  return {
    name,
    schema,
    async survey(db) {
      await there(db);
      const { rows } = await db.executeSql<{ version: number }>(`select version from ${schema}.version`);
      const version = rows[0]?.version ?? 0;
      if (version < oldestSchema || version > testedSchema)
        throw unsupported(
          name,
          `its schema is ${version}, and ${oldestSchema} to ${testedSchema} can be read (pg-boss 11 to 12.35)`,
        );
      const queues = await db.executeSql<SourceQueue>(surveySql(schema, await there(db)));
      const schedules = await db.executeSql<SourceSchedule>(
        `select name, cron as schedule, timezone as "timeZone" from ${schema}.schedule order by name`,
      );
      return { version: `schema ${version}`, queues: queues.rows, schedules: schedules.rows };
    },
    async keys(db, walk) {
      const sql = keysSql(schema, await there(db), walk.failed);
      return (await db.executeSql<KeyRow>(sql, valuesOf(walk))).rows.map(keyOf);
    },
    async jobs(db, keys, how) {
      const sql = jobsSql(schema, await there(db), how);
      const values = [arrayText(keys.map(({ queue }) => queue)), arrayText(keys.map(({ key }) => key))];
      return (await db.executeSql<Row>(sql, values)).rows.map(foundOf);
    },
    async remove(tx, jobs) {
      const sql = `delete from ${schema}.job where (name, id) in (select * from unnest($1::text::text[], $2::text::uuid[]))`;
      await tx.executeSql(sql, [
        arrayText(jobs.map(({ queue }) => queue)),
        arrayText(jobs.map(({ id }) => id)),
      ]);
    },
  };
}

/** A job of a flow waits for others, or others wait for it. */
const inFlow = (columns: ReadonlySet<string>): string =>
  ['blocked', 'blocking']
    .filter((column) => columns.has(column))
    .map((column) => `j.${column}`)
    .join(' or ') || 'false';

/** Waybill's own queues are known by their retention, and pg-boss's by their names. */
const surveySql = (schema: string, columns: ReadonlySet<string>): string => `
  select j.name as queue,
         (count(*) filter (where state in ('created', 'retry') and not (${inFlow(columns)})))::int as pending,
         (count(*) filter (where state in ('created', 'retry') and (${inFlow(columns)})))::int as "inFlows",
         (count(*) filter (where state = 'active'))::int as "inFlight",
         (count(*) filter (where state = 'failed'))::int as failed
    from ${schema}.job j join ${schema}.queue q on q.name = j.name
   where j.name not like '\\_\\_pgboss%' and q.retention_seconds <> ${yearInSeconds} and state in ('created', 'retry', 'active', 'failed')
   group by j.name order by j.name`;

const rank = `(case j.state when 'retry' then 0 else 1 end)`;

const waits = (columns: ReadonlySet<string>, failed: boolean): string =>
  `j.state in ${failed ? `('failed')` : `('created', 'retry')`} and not (${inFlow(columns)})`;

/**
 * Values: queues, the place (rank, start, created, id), limit. A job that waits for a retry holds back others of its key, so it comes first; the others
 * come by their due times, and then as they were created.
 */
const keysSql = (schema: string, columns: ReadonlySet<string>, failed: boolean): string => `
  select j.id::text as id, j.name, ${rank} as rank, j.start_after::text as start, j.created_on::text as created
    from ${schema}.job j
   where j.name = any($1::text::text[]) and ${waits(columns, failed)}
     and (${rank}, j.start_after, j.created_on, j.id) > ($2::int, $3::text::timestamptz, $4::text::timestamptz, $5::text::uuid)
   order by ${rank}, j.start_after, j.created_on, j.id limit $6`;

/** Values: queues and ids, one for each job. */
function jobsSql(
  schema: string,
  columns: ReadonlySet<string>,
  { failed, lock }: { readonly failed: boolean; readonly lock: boolean },
): string {
  const column = (its: string): string => (columns.has(its) ? `j.${its}` : 'null');
  return `
  select j.id::text as id, j.name, j.data::text as data, j.state::text as state, j.priority,
         (case j.state when 'created' then j.retry_limit + 1 when 'failed' then j.retry_limit + 1
                       else greatest(j.retry_limit - j.retry_count, 1) end)::int as left,
         ${momentText('j.start_after')} as due, j.singleton_key as key, ${column('policy')}::text as policy, ${column('group_id')}::text as "group"
    from unnest($1::text::text[], $2::text::uuid[]) as n(name, id) join ${schema}.job j on j.name = n.name and j.id = n.id
   where ${waits(columns, failed)}${lock ? ' for update of j skip locked' : ''}`;
}

function valuesOf({ queues, after, limit }: Walk): unknown[] {
  const { rank: its = -1, start = '-infinity', created = '-infinity' } = after ?? {};
  const { id = '00000000-0000-0000-0000-000000000000' } = after ?? {};
  return [arrayText(queues.map(({ queue }) => queue)), its, start, created, id, limit];
}

const keyOf = ({ id, name: queue, rank: its, start, created }: KeyRow): Key => ({
  queue,
  key: id,
  place: { rank: its, start, created, id },
});

function foundOf({ id, name: queue, data, priority, left, due, key, policy, group }: Row): Found {
  const isOrdered = policy === 'key_strict_fifo' && key !== null;
  return {
    key: id,
    job: {
      id,
      queue,
      json: data ?? 'null',
      dueAt: due,
      priority: clampedPriority(priority),
      attemptsLeft: left,
      ...(key !== null && (isOrdered ? { orderKey: key } : { key })),
      ...(group !== null && { group }),
    },
  };
}
