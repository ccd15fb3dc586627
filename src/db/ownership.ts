// The check whether the schema `waybill` is ours and the server is suitable. It runs before anything is changed, so a foreign schema stays as it is.

import type { Executor } from './executor.ts';
import { readOnlyProblem, readStanding } from './standing.ts';

/** Why migrating is refused: a code of docs/errors.md, and what to do. */
export type Refusal = { readonly code: string; readonly message: string };

export const oldestPostgres = 140_000;

/** Checks the server, its version and the database's encoding. */
export async function serverRefusal(db: Executor): Promise<Refusal | undefined> {
  const standing = await readStanding(db);
  const { number, version, encoding } = standing;
  const closed = readOnlyProblem(standing);
  if (closed !== undefined) return { code: 'database_not_writable', message: closed };
  if (number < oldestPostgres)
    return {
      code: 'postgres_too_old',
      message: `the database is Postgres ${version}; Waybill needs 14 or later`,
    };
  if (encoding !== 'UTF8')
    return {
      code: 'encoding_unsupported',
      message: `the database is in ${encoding}, which cannot hold every text; Waybill needs UTF8. Nothing was changed. Make one with: create database shop with encoding 'UTF8' locale 'C.UTF-8' template template0`,
    };
  return undefined;
}

type Contents = {
  readonly there: boolean;
  /** Tables, views and the like, without `migrations`. */
  readonly relations: readonly string[];
  readonly columns: Readonly<Record<string, string>> | null;
};

export const contentsSql = `
  select n.oid is not null as there,
         coalesce((select json_agg(c.relname order by c.relname) from pg_catalog.pg_class c
                    where c.relnamespace = n.oid and c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relname <> 'migrations'), '[]') as relations,
         (select json_object_agg(a.attname, format_type(a.atttypid, null)) from pg_catalog.pg_attribute a
            join pg_catalog.pg_class c on c.oid = a.attrelid
           where c.relnamespace = n.oid and c.relname = 'migrations' and a.attnum > 0 and not a.attisdropped) as columns
    from (select 1) one left join pg_catalog.pg_namespace n on n.nspname = 'waybill'`;

export type Schema = {
  readonly there: boolean;
  /** Whether the table exists with the columns of ours. */
  readonly hasMigrations: boolean;
  readonly relations: readonly string[];
  readonly refusal: Refusal | undefined;
};

const ours: Readonly<Record<string, string>> = {
  id: 'text',
  checksum: 'text',
  applied_at: 'timestamp with time zone',
};

export async function readSchema(db: Executor): Promise<Schema> {
  const { there, relations, columns } = (await db.executeSql<Contents>(contentsSql)).rows[0]!;
  const hasMigrations =
    columns !== null && Object.entries(ours).every(([name, type]) => columns[name] === type);
  return { there, hasMigrations, relations, refusal: foreign(relations, columns, hasMigrations) };
}

function foreign(
  relations: readonly string[],
  columns: Contents['columns'],
  hasMigrations: boolean,
): Refusal | undefined {
  if (columns !== null && !hasMigrations)
    return notOurs(`its table migrations has the columns ${Object.keys(columns).join(', ')}`);
  if (columns === null && relations.length > 0)
    return notOurs(`it holds ${named(relations)} and no table migrations`);
  return undefined;
}

/** Tables exist, but none of our files is recorded as applied. */
export function unlisted(relations: readonly string[]): Refusal {
  return notOurs(
    `it holds ${named(relations)}, and its table migrations names no file of Waybill: rows of it were deleted, or somebody else made them`,
  );
}

function notOurs(why: string): Refusal {
  return {
    code: 'schema_not_ours',
    message: `the schema waybill of this database is not Waybill's: ${why}. Nothing was changed. Rename that schema, or give Waybill a database of its own`,
  };
}

function named(relations: readonly string[]): string {
  const shown = relations.slice(0, 5).join(', ');
  return relations.length > 5 ? `${shown} and ${relations.length - 5} more` : shown;
}
