// The configuration and the database connections of one command; connections are always closed.

import { openDatabase, type Database } from '../db/pool.ts';
import type { Use } from '../db/settings.ts';
import type { Milliseconds } from '../ports.ts';
import { readConfig, type Config } from '../config/config.ts';
import { choiceProblem, eachDatabase, namesOf } from '../config/databases.ts';
import { UsageError } from './exit.ts';
import { say } from './print.ts';

export type Session = { readonly config: Config; readonly db: Database };

export type SessionUse = {
  /** `application` where the application's migrations run. Default `ours`. */
  readonly use?: Use;
  /** Default: that of the database's own pools, seconds. */
  readonly statementTimeoutMs?: Milliseconds;
};

/** An import or export counts and reads tables of any size, in the database of the messages and in that of the source. */
export const transferTimeout: Milliseconds = 600_000;

/**
 * For a command that is of one database.
 * @throws UsageError `database_required` where there are several and none was chosen
 */
export async function withDatabase<T>(
  body: (session: Session) => Promise<T>,
  use: SessionUse = {},
): Promise<T> {
  const [config, ...others] = eachDatabase(readConfig(process.env));
  if (others.length > 0)
    throw new UsageError(
      'database_required',
      `there are several databases: choose one with --database ${[config!, ...others].map(({ database }) => database).join(' or ')}`,
    );
  return usingDatabase(config!, body, use);
}

export async function usingDatabase<T>(
  config: Config,
  body: (session: Session) => Promise<T>,
  { use = 'ours', ...limits }: SessionUse = {},
): Promise<T> {
  const { database } = config;
  const db = openDatabase({
    url: config.databaseUrl,
    max: 2,
    use,
    ...limits,
    applicationName: 'waybill cli',
    onIdleError: (error) => say(`the connection to the database broke: ${error.message}`),
    ...(database !== null && { setting: `WAYBILL_DATABASES (${database})` }),
  });
  try {
    return await body({ config, db });
  } finally {
    await db.end();
  }
}

/** The option `--database` narrows the environment of the command, as WAYBILL_DATABASE does for a process. @throws UsageError `unknown_database` */
export function chooseDatabase(name: string, env: NodeJS.ProcessEnv): void {
  if (!env['WAYBILL_DATABASES'])
    throw new UsageError(
      'unknown_database',
      '--database chooses one of WAYBILL_DATABASES, which is not set: there is only DATABASE_URL',
    );
  const { WAYBILL_DATABASE: _, ...others } = env;
  const problem = choiceProblem(name, namesOf(readConfig(others).databases));
  if (problem !== undefined) throw new UsageError('unknown_database', problem);
  env['WAYBILL_DATABASE'] = name;
}
