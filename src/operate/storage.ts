// What the tables of Waybill take on disk, how much of it is dead, what keeps vacuum from removing that, and the server's connections.

import type { Executor } from '../db/executor.ts';
import { readConnections, type Connections } from './connections.ts';
import { momentOf, momentText, type Moment } from '../db/moment.ts';

export type TableSize = {
  readonly name: string;
  /** Of the table, its indexes and its large values. */
  readonly bytes: number;
  readonly indexBytes: number;
  /** Postgres's estimates. Dead rows are versions that vacuum has yet to remove. */
  readonly rows: number;
  readonly deadRows: number;
  readonly lastVacuum: Moment | null;
  readonly lastAutovacuum: Moment | null;
  readonly lastAnalyze: Moment | null;
  /** When a relay last looked for rows past their retention, and how many it deleted then; null: never, or nothing of it is pruned. */
  readonly lastPrune: { readonly at: Moment; readonly rows: number } | null;
};

/** What holds back vacuum in this database: row versions that became dead after it began stay. */
export type Holder = {
  readonly type: 'transaction' | 'prepared transaction' | 'replication slot';
  /** Name of the application, the prepared transaction or the slot. */
  readonly name: string;
  readonly pid: number | null;
  /** Such as `idle in transaction`. */
  readonly state: string | null;
  readonly since: Moment | null;
  readonly seconds: number | null;
  /** How many transactions have begun in the server since. */
  readonly transactions: number;
};

export type Storage = {
  readonly bytes: number;
  /** The largest first. */
  readonly tables: readonly TableSize[];
  /** The one that holds back the most; null: none. Of other users' sessions it sees only what the role of DATABASE_URL may. */
  readonly oldestHolder: Holder | null;
  readonly connections: Connections;
};

const time = (column: string, name: string): string => `${momentText(column)} as "${name}"`;

export const tablesSql = `
  select c.relname as name, pg_catalog.pg_total_relation_size(c.oid)::float8 as bytes, pg_catalog.pg_indexes_size(c.oid)::float8 as "indexBytes",
         coalesce(s.n_live_tup, 0)::float8 as rows, coalesce(s.n_dead_tup, 0)::float8 as "deadRows",
         ${time('s.last_vacuum', 'lastVacuum')}, ${time('s.last_autovacuum', 'lastAutovacuum')},
         ${time('greatest(s.last_analyze, s.last_autoanalyze)', 'lastAnalyze')}, ${time('p.at', 'prunedAt')}, p.rows::float8 as "prunedRows"
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    left join pg_catalog.pg_stat_all_tables s on s.relid = c.oid
    left join waybill.prunes p on p.name = c.relname
   where n.nspname = 'waybill' and c.relkind in ('r', 'p') order by bytes desc, name`;

export const holderSql = `
  select * from (
    select 'transaction' as type, application_name as name, pid, state, ${time('xact_start', 'since')},
           extract(epoch from now() - xact_start)::float8 as seconds, age(backend_xmin)::float8 as transactions
      from pg_catalog.pg_stat_activity
     where backend_xmin is not null and datname = current_database() and pid <> pg_catalog.pg_backend_pid()
    union all
    select 'prepared transaction', gid, null, null, ${momentText('prepared')}, extract(epoch from now() - prepared)::float8, age(transaction)::float8
      from pg_catalog.pg_prepared_xacts where database = current_database()
    union all
    select 'replication slot', slot_name, active_pid, null, null, null, greatest(age(xmin), age(catalog_xmin))::float8
      from pg_catalog.pg_replication_slots where num_nonnulls(xmin, catalog_xmin) > 0) h
   order by transactions desc, seconds desc nulls last limit 1`;

type TableRow = Omit<TableSize, 'lastVacuum' | 'lastAutovacuum' | 'lastAnalyze' | 'lastPrune'> &
  Readonly<Record<'lastVacuum' | 'lastAutovacuum' | 'lastAnalyze' | 'prunedAt', string | null>> & {
    readonly prunedRows: number | null;
  };

export async function readStorage(db: Executor): Promise<Storage> {
  const tables = (await db.executeSql<TableRow>(tablesSql)).rows.map(tableOf);
  type Row = Omit<Holder, 'since'> & { readonly since: string | null };
  const [holder] = (await db.executeSql<Row>(holderSql)).rows;
  return {
    bytes: tables.reduce((sum, { bytes }) => sum + bytes, 0),
    tables,
    oldestHolder: holder ? { ...holder, since: momentOf(holder.since) } : null,
    connections: await readConnections(db),
  };
}

function tableOf({ prunedAt, prunedRows, ...row }: TableRow): TableSize {
  const at = momentOf(prunedAt);
  return {
    ...row,
    lastVacuum: momentOf(row.lastVacuum),
    lastAutovacuum: momentOf(row.lastAutovacuum),
    lastAnalyze: momentOf(row.lastAnalyze),
    lastPrune: at === null ? null : { at, rows: prunedRows ?? 0 },
  };
}

/** Values: names of tables, rows that were deleted. */
export const notePrunesSql = `
  insert into waybill.prunes as p (name, rows) select * from unnest($1::text[], $2::int[])
  on conflict (name) do update set at = now(), rows = excluded.rows`;

/** Notes that these tables were pruned. @param rows how many rows were deleted, by table */
export async function notePrunes(db: Executor, rows: Readonly<Record<string, number>>): Promise<void> {
  await db.executeSql(notePrunesSql, [Object.keys(rows), Object.values(rows)]);
}
