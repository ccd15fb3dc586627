// The standing of a server and its database: what must be right before anything is asked of them.

import type { Executor } from './executor.ts';

export type Standing = {
  /** 140005 for 14.5. */
  readonly number: number;
  readonly version: string;
  /** Of the database: UTF8, LATIN1, SQL_ASCII … */
  readonly encoding: string;
  /** A standby, which replays what a primary writes. */
  readonly isStandby: boolean;
  /** Transactions are read-only, by default_transaction_read_only or because it is a standby. */
  readonly isReadOnly: boolean;
};

export const standingSql = `
  select current_setting('server_version_num')::int as number, current_setting('server_version') as version,
         current_setting('server_encoding') as encoding, pg_is_in_recovery() as "isStandby",
         current_setting('transaction_read_only') = 'on' as "isReadOnly"`;

export async function readStanding(db: Executor): Promise<Standing> {
  return (await db.executeSql<Standing>(standingSql)).rows[0]!;
}

/** @returns undefined where rows can be written */
export function readOnlyProblem(
  { isStandby, isReadOnly }: Standing,
  setting = 'DATABASE_URL',
): string | undefined {
  if (isStandby) return `the server of ${setting} is a read-only standby: let ${setting} name the primary`;
  if (!isReadOnly) return undefined;
  return `the database of ${setting} is read-only (default_transaction_read_only is on): ${setting} names a replica, or somebody has closed the database for writing`;
}
