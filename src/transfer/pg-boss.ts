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
  readonly made: string;
  readonly inFlow: boolean;
};

type KeyRow = {
  readonly id: string;
  readonly name: string;
  readonly moment: string;
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
      return (await db.executeSql<Row>(sql, namesOf(keys))).rows.map(foundOf);
    },
    async sizes(db, keys) {
      const { rows } = await db.executeSql<{ bytes: number }>(sizesSql(schema), namesOf(keys));
      return rows.map(({ bytes }) => bytes);
    },
    async remove(tx, jobs) {
      const sql = `delete from ${schema}.job where (name, id) in (select * from unnest($1::text::text[], $2::text::uuid[]))`;
      await tx.executeSql(sql, namesOf(jobs.map(({ queue, id }) => ({ queue, key: id }))));
    },
  };
}

/** An id belongs to a queue: two queues may have the same. */
const namesOf = (keys: readonly Pick<Key, 'queue' | 'key'>[]): string[] => [
  arrayText(keys.map(({ queue }) => queue)),
  arrayText(keys.map(({ key }) => key)),
];

/** A job of a flow waits for others, or others wait for it. */
const inFlow = (columns: ReadonlySet<string>): string =>
  ['blocked', 'blocking']
    .filter((column) => columns.has(column))
    .map((column) => `j.${column}`)
    .join(' or ') || 'false';

/** One of Waybill's wake-ups. A queue of the application may have the same retention, so the job itself decides. */
const isWakeUp = (schema: string): string =>
  `(case when j.retry_limit = 0 and jsonb_typeof(j.data) = 'object' and jsonb_typeof(j.data -> 'messages') = 'number'
         then j.data - 'messages' - 'grouped' = '{}' and exists (
           select from ${schema}.queue q where q.name = j.name and q.retention_seconds = ${yearInSeconds} and q.policy = 'standard')
         else false end)`;

/** pg-boss's own queues are known by their names. */
const surveySql = (schema: string, columns: ReadonlySet<string>): string => `
  select j.name as queue,
         (count(*) filter (where state in ('created', 'retry') and not (${inFlow(columns)})))::int as pending,
         (count(*) filter (where state in ('created', 'retry') and (${inFlow(columns)})))::int as "inFlows",
         (count(*) filter (where state = 'active'))::int as "inFlight",
         (count(*) filter (where state = 'failed'))::int as failed
    from ${schema}.job j
   where j.name not like '\\_\\_pgboss%' and state in ('created', 'retry', 'active', 'failed') and not ${isWakeUp(schema)}
   group by j.name order by j.name`;

const rank = `(case j.state when 'retry' then 0 else 1 end)`;

/** Of a job for which others wait: it has its turn in its order key. One that waits for others has none (strict_fifo_heads in pg-boss's plans). */
const holdsKey = (columns: ReadonlySet<string>): string =>
  ['blocked', 'blocking', 'policy'].every((column) => columns.has(column))
    ? `(j.blocking and not j.blocked and j.policy = 'key_strict_fifo' and j.singleton_key is not null)`
    : 'false';

const waits = (schema: string, columns: ReadonlySet<string>, failed: boolean): string =>
  failed
    ? `j.state = 'failed' and not (${inFlow(columns)}) and not ${isWakeUp(schema)}`
    : `j.state in ('created', 'retry') and (not (${inFlow(columns)}) or ${holdsKey(columns)}) and not ${isWakeUp(schema)}`;

/**
 * Values: queues, the place (moment of the walk, rank, start, created, id), limit. It is the order of a key in a key_strict_fifo queue (strict_fifo_heads
 * in pg-boss's plans): a job that waits for a retry holds back the others, so it comes first; those that are due come as they were created, whatever their
 * priorities are; the others come by their due times.
 */
const keysSql = (schema: string, columns: ReadonlySet<string>, failed: boolean): string => `
  select j.id::text as id, j.name, w.moment::text as moment, ${rank} as rank, greatest(j.start_after, w.moment)::text as start, j.created_on::text as created
    from ${schema}.job j, (select coalesce($2::text::timestamptz, now()) as moment) w
   where j.name = any($1::text::text[]) and ${waits(schema, columns, failed)}
     and (${rank}, greatest(j.start_after, w.moment), j.created_on, j.id, j.name)
         > ($3::int, $4::text::timestamptz, $5::text::timestamptz, $6::text::uuid, $7::text)
   order by ${rank}, greatest(j.start_after, w.moment), j.created_on, j.id, j.name limit $8`;

/** Values: queues and ids, one for each job. */
const sizesSql = (schema: string): string => `
  select coalesce(octet_length(j.data::text), 0) as bytes
    from unnest($1::text::text[], $2::text::uuid[]) with ordinality as n(name, id, n) left join ${schema}.job j on j.name = n.name and j.id = n.id
   order by n.n`;

/** Values: queues and ids, one for each job. */
function jobsSql(
  schema: string,
  columns: ReadonlySet<string>,
  { failed, lock }: { readonly failed: boolean; readonly lock: boolean },
): string {
  const column = (its: string): string => (columns.has(its) ? `j.${its}` : 'null');
  return `
  select j.id::text as id, j.name, j.data::text as data, j.state::text as state, j.priority,
         (case j.state when 'retry' then greatest(j.retry_limit - j.retry_count, 1) else j.retry_limit::bigint + 1 end)::float8 as left,
         to_char(j.created_on at time zone 'UTC', 'YYYYMMDDHH24MISSUS') as made,
         ${momentText('j.start_after')} as due, j.singleton_key as key, ${column('policy')}::text as policy, ${column('group_id')}::text as "group",
         (${inFlow(columns)}) as "inFlow"
    from unnest($1::text::text[], $2::text::uuid[]) as n(name, id) join ${schema}.job j on j.name = n.name and j.id = n.id
   where ${waits(schema, columns, failed)}${lock ? ' for update of j skip locked' : ''}`;
}

function valuesOf({ queues, after, limit }: Walk): unknown[] {
  const { moment = null, rank: its = -1, start = '-infinity', created = '-infinity' } = after ?? {};
  const { id = '00000000-0000-0000-0000-000000000000', queue: last = '' } = after ?? {};
  return [arrayText(queues.map(({ queue }) => queue)), moment, its, start, created, id, last, limit];
}

const keyOf = ({ id, name: queue, moment, rank: its, start, created }: KeyRow): Key => ({
  queue,
  key: id,
  place: { moment, rank: its, start, created, id, queue },
});

function foundOf({
  id,
  name: queue,
  made,
  data,
  priority,
  left,
  due,
  key,
  policy,
  group,
  inFlow: its,
}: Row): Found {
  const isOrdered = policy === 'key_strict_fifo' && key !== null;
  return {
    key: id,
    job: {
      id,
      made, // an application may give the id of a job that has ended to another one
      queue,
      json: data ?? 'null',
      dueAt: due,
      priority: clampedPriority(priority),
      attemptsLeft: left,
      ...(key !== null && (isOrdered ? { orderKey: key } : { key })),
      ...(group !== null && { group }),
      ...(its && { inFlow: true }),
    },
  };
}
