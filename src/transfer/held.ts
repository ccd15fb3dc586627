// Jobs that an import from another database holds: they left the source's tables, so no worker of the source can start them, and are not yet recorded
// for certain. They are rows of one table in the source's schema, which the import makes. One transaction moves a job there. Their positions keep the
// order of jobs with one order key.

import type { Executor } from '../db/executor.ts';
import { arrayText } from '../db/values.ts';
import type { SourceJob } from './source.ts';

/** Two queues may have the same id, and an id may be used again while an earlier job of it is held. */
const keyOf = ({ queue, id, made = '' }: SourceJob): string => JSON.stringify([queue, id, made]);

export type HeldJobs = {
  readonly jobs: readonly SourceJob[];
  /** The position of the last. */
  readonly last: string;
};

/** @param schema quoted */
export function heldJobs(schema: string) {
  const table = `${schema}.waybill_import`;
  return {
    /** Makes the table, where it does not exist. */
    async prepare(source: Executor): Promise<void> {
      await source.executeSql(
        `create table if not exists ${table} (position bigint generated always as identity primary key, key text not null unique, job text not null,
           held_at timestamptz not null default now())`,
      );
    },

    async count(source: Executor): Promise<number> {
      const there = `select to_regclass($1) is not null as there`;
      if (!(await source.executeSql<{ there: boolean }>(there, [table])).rows[0]!.there) return 0;
      return (await source.executeSql<{ n: number }>(`select count(*)::int as n from ${table}`)).rows[0]!.n;
    },

    async hold(tx: Executor, jobs: readonly SourceJob[]): Promise<void> {
      const values = [arrayText(jobs.map(keyOf)), arrayText(jobs.map((job) => JSON.stringify(job)))];
      await tx.executeSql(
        `insert into ${table} (key, job)
         select j.key, j.job from unnest($1::text::text[], $2::text::text[]) with ordinality as j(key, job, n) order by j.n`,
        values,
      );
    },

    /** @param after a position; empty: from the first on */
    async read(source: Executor, after: string, limit: number): Promise<HeldJobs> {
      const sql = `select position::text as position, job from ${table} where position > $1::text::bigint order by ${table}.position limit $2`;
      const { rows } = await source.executeSql<{ position: string; job: string }>(sql, [after || '0', limit]);
      const jobs = rows.map(({ job }) => JSON.parse(job) as SourceJob);
      return { jobs, last: rows.at(-1)?.position ?? after };
    },

    async forget(source: Executor, jobs: readonly SourceJob[]): Promise<void> {
      const sql = `delete from ${table} where key = any($1::text::text[])`;
      await source.executeSql(sql, [arrayText(jobs.map(keyOf))]);
    },
  };
}

export type HeldTable = ReturnType<typeof heldJobs>;
