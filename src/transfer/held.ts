// Jobs that an import from another database holds: they left the source's tables, so no worker of the source can start them, and are not yet recorded
// for certain. They are rows of one table in the source's schema, which the import makes. One transaction moves a job there.

import type { Executor } from '../db/executor.ts';
import { arrayText } from '../db/values.ts';
import type { SourceJob } from './source.ts';

/** @param schema quoted */
export function heldJobs(schema: string) {
  const table = `${schema}.waybill_import`;
  return {
    /** Makes the table, where it does not exist. */
    async prepare(source: Executor): Promise<void> {
      await source.executeSql(
        `create table if not exists ${table} (id text primary key, job text not null, held_at timestamptz not null default now())`,
      );
    },

    async count(source: Executor): Promise<number> {
      const there = `select to_regclass($1) is not null as there`;
      if (!(await source.executeSql<{ there: boolean }>(there, [table])).rows[0]!.there) return 0;
      return (await source.executeSql<{ n: number }>(`select count(*)::int as n from ${table}`)).rows[0]!.n;
    },

    async hold(tx: Executor, jobs: readonly SourceJob[]): Promise<void> {
      const values = [arrayText(jobs.map(({ id }) => id)), arrayText(jobs.map((job) => JSON.stringify(job)))];
      await tx.executeSql(
        `insert into ${table} (id, job) select * from unnest($1::text::text[], $2::text::text[])`,
        values,
      );
    },

    async read(source: Executor, after: string, limit: number): Promise<SourceJob[]> {
      const sql = `select job from ${table} where id > $1 order by id limit $2`;
      const { rows } = await source.executeSql<{ job: string }>(sql, [after, limit]);
      return rows.map(({ job }) => JSON.parse(job) as SourceJob);
    },

    async forget(source: Executor, jobs: readonly SourceJob[]): Promise<void> {
      const sql = `delete from ${table} where id = any($1::text::text[])`;
      await source.executeSql(sql, [arrayText(jobs.map(({ id }) => id))]);
    },
  };
}
