// The state of a server and its database that must be right before they are used.

import type { Executor } from './executor.ts';

export type Standing = {
  /** 140005 for 14.5. */
  readonly number: number;
  readonly version: string;
  /** The database's encoding: UTF8, LATIN1, SQL_ASCII … */
  readonly encoding: string;
  /** A standby, which replays a primary's writes. */
  readonly isStandby: boolean;
  /** Transactions are read-only, by default_transaction_read_only or because it is a standby. */
  readonly isReadOnly: boolean;
  readonly role: string;
  /** Our tables whose rows a row-level security policy may hide from this role. */
  readonly hidden: readonly string[];
};

/** A policy that lets this role see and write every row hides nothing, unless a restrictive policy exists. */
const hiddenSql = `
  select json_agg(c.relname order by c.relname) from pg_catalog.pg_class c
   where c.relnamespace = to_regnamespace('waybill') and c.relkind in ('r', 'p') and row_security_active(c.oid)
     and (exists (select from pg_catalog.pg_policy p where p.polrelid = c.oid and not p.polpermissive)
       or not exists (select from pg_catalog.pg_policy p
                       where p.polrelid = c.oid and p.polpermissive and p.polcmd = '*'
                         and (p.polroles = '{0}' or exists (select from unnest(p.polroles) r where pg_has_role(r, 'usage')))
                         and coalesce(pg_get_expr(p.polqual, c.oid), 'true') = 'true'
                         and coalesce(pg_get_expr(p.polwithcheck, c.oid), 'true') = 'true'))`;

export const standingSql = `
  select current_setting('server_version_num')::int as number, current_setting('server_version') as version,
         current_setting('server_encoding') as encoding, pg_is_in_recovery() as "isStandby",
         current_setting('transaction_read_only') = 'on' as "isReadOnly", current_user::text as role, coalesce((${hiddenSql}), '[]') as hidden`;

export async function readStanding(db: Executor): Promise<Standing> {
  return (await db.executeSql<Standing>(standingSql)).rows[0]!;
}

/** @returns undefined when rows can be written */
export function readOnlyProblem(
  { isStandby, isReadOnly }: Standing,
  setting = 'DATABASE_URL',
): string | undefined {
  if (isStandby) return `the server of ${setting} is a read-only standby: let ${setting} name the primary`;
  if (!isReadOnly) return undefined;
  return `the database of ${setting} is read-only (default_transaction_read_only is on): ${setting} names a replica, or somebody has closed the database for writing`;
}

/** @returns undefined when the role sees every row */
export function hiddenProblem({ hidden, role }: Standing): string | undefined {
  if (hidden.length === 0) return undefined;
  return `row-level security hides rows of ${hidden.map((name) => `waybill.${name}`).join(', ')} from the role ${role}: messages would wait for ever. Turn it off (alter table … disable row level security), or give the role a policy that lets it see and write every row (create policy … for all to ${role} using (true) with check (true))`;
}
