// The connections of the database server: how many are used of those that it allows, and by whom in this database.

import type { Executor } from '../db/executor.ts';

export type Connections = {
  /** `max_connections` without those that are reserved for superusers. */
  readonly most: number;
  /** Of the whole server, all its databases together. */
  readonly used: number;
  /** In this database, by the name of the application; the most first, 20 at most. */
  readonly by: readonly {
    readonly application: string;
    readonly connections: number;
    readonly active: number;
    readonly idleInTransaction: number;
  }[];
};

/** Every role may read the numbers of pg_stat_database; of other users' sessions pg_stat_activity has only the names. */
export const connectionsSql = `
  select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as most,
         (select coalesce(sum(numbackends), 0)::int from pg_catalog.pg_stat_database) as used,
         (select coalesce(json_agg(b), '[]') from (
           select left(application_name, 64) as application, count(*)::int as connections, (count(*) filter (where state = 'active'))::int as active,
                  (count(*) filter (where state like 'idle in transaction%'))::int as "idleInTransaction"
             from pg_catalog.pg_stat_activity where datname = current_database() and backend_type = 'client backend'
            group by 1 order by 2 desc, 1 limit 20) b) as by`;

export async function readConnections(db: Executor): Promise<Connections> {
  return (await db.executeSql<Connections>(connectionsSql)).rows[0]!;
}
