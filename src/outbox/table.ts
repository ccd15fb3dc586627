// The outbox under a table name that the user chooses. Statements are written for `waybill.outbox_messages`; another name is validated,
// quoted and put into their text. The other tables are named after it: `…_attempts`, `…_keys`, `…_audit` and so on.

import { checkOptions } from '../options.ts';
import { createHash } from 'node:crypto';
import { migrationText } from '../db/migration-text.ts';
import { WaybillError } from '../errors.ts';

/** The table of an outbox. */
export type TableOptions = {
  /**
   * `name` or `schema.name`; default `waybill.outbox_messages`. Each part has 1 to 40 lower-case letters, digits or underscores
   * and begins with a letter; the schema must exist.
   */
  readonly tableName?: string | undefined;
};

/** Rewrites a statement for this table. */
export type Named = (sql: string) => string;

/** @throws WaybillError `table_name_invalid` */
export function tableNamed(tableName: string | undefined): Named {
  if (tableName === undefined) return (sql) => sql;
  const { schema, table } = parse(tableName);
  const quoted = (name: string): string => (schema === undefined ? `"${name}"` : `"${schema}"."${name}"`);
  return (sql) =>
    sql
      .replaceAll('waybill.outbox_messages', quoted(table))
      .replaceAll(/waybill\.(?:outbox_)?(\w+)/g, (_, rest: string) => quoted(`${table}_${rest}`));
}

function parse(tableName: string): { readonly schema?: string | undefined; readonly table: string } {
  const parts = tableName.split('.');
  const [schema, table] = parts.length === 1 ? [undefined, parts[0]!] : [parts[0]!, parts[1]!];
  const wellFormed = parts.length <= 2 && parts.every((part) => /^[a-z][a-z0-9_]{0,39}$/.test(part));
  if (!wellFormed || schema?.startsWith('pg_') || schema === 'information_schema')
    throw new WaybillError(
      'table_name_invalid',
      `the table name ${JSON.stringify(tableName).slice(0, 100)} must be name or schema.name, each of 1 to 40 lower-case letters, digits or underscores, beginning with a letter, and not in a schema of Postgres itself`,
    );
  return { schema, table };
}

/** The migrations for an outbox without a fleet. */
const files = [
  '0001_messages.sql',
  '0002_keys.sql',
  '0003_queues.sql',
  '0004_attempts.sql',
  '0005_audit.sql',
  '0010_order.sql',
];

/**
 * The statements that create an outbox, one command each, for the application's own migrations. Running them again changes nothing; those of a newer
 * version add what is new in it. Under the default name they are the engine's own migrations, and `waybill migrate` continues from there.
 * @throws WaybillError `table_name_invalid`
 */
export function createPostgresOutboxSetupStatements(options: TableOptions = {}): string[] {
  checkOptions('createPostgresOutboxSetupStatements', options, ['tableName']);
  const { tableName } = options;
  const named = tableNamed(tableName);
  const sources = files.map((file) => ({ id: `waybill/${file}`, text: migrationText(file) }));
  const made = sources.flatMap(({ text }) => commands(text)).flatMap(repeatable);
  if (tableName === undefined) return [...made, migrationsTable, ...sources.map(applied)];
  const { schema, table } = parse(tableName);
  return (
    made
      .filter((command) => !command.startsWith('create schema'))
      // Without a schema the search_path finds the table, so its functions must use the search_path too.
      .map((command) => (schema === undefined ? command.replace(ownPath, '') : command))
      .map((command) => named(ownNames(command, table)))
  );
}

/** A function with its owner's rights must not use a search_path of its caller. */
const ownPath = /( security definer)? set search_path = pg_catalog, pg_temp/;

/** Indexes and constraints are named `outbox_…` without a schema; a second outbox in the same schema needs other names. */
function ownNames(command: string, table: string): string {
  return command.replaceAll(/(?<![.\w])outbox_(\w+)/g, (_, rest: string) => `"${table}_${rest}"`);
}

/** The same command, so that it changes nothing where it has run before: an application runs all statements again with each new version. */
export function repeatable(command: string): string[] {
  const constraint = /^create constraint (trigger \w+) after [\w ]+? (on [\w.]+)/.exec(command);
  if (constraint) return [`drop ${constraint[1]!.replace(' ', ' if exists ')} ${constraint[2]}`, command];
  return [
    command
      .replace(
        /^create (schema|table|sequence|index|unique index) (?!if not exists)/,
        'create $1 if not exists ',
      )
      .replace(/^create (function|trigger) /, 'create or replace $1 ')
      .replace(/^(alter table [\w.]+ add column) (?!if not exists)/, '$1 if not exists '),
  ];
}

const migrationsTable = `create table if not exists waybill.migrations (
  id text primary key, checksum text not null, applied_at timestamptz not null default now())`;

/** Records a migration as applied, for `waybill migrate` (src/db/migrate.ts). */
function applied({ id, text }: { readonly id: string; readonly text: string }): string {
  const checksum = createHash('sha256').update(text).digest('hex');
  return `insert into waybill.migrations (id, checksum) values ('${id}', '${checksum}') on conflict do nothing`;
}

/** Splits a migration into commands. Comments, quoted strings and bodies in `$$` may contain semicolons. */
function commands(text: string): string[] {
  const tokens = text.match(/--[^\n]*|'(?:[^']|'')*'|\$\$[\s\S]*?\$\$|;|[^;'$-]+|[-$]/g) ?? [];
  const all = [''];
  for (const token of tokens) {
    if (token === ';') all.push('');
    else if (!token.startsWith('--')) all[all.length - 1] += token;
  }
  return all
    .map((command) => command.trim().replaceAll(/[ \t]+\n/g, '\n'))
    .filter((command) => command !== '');
}
