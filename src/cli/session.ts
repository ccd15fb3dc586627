// The configuration and the database connection of one command; the connection is always closed.

import { openDatabase, type Database } from '../db/pool.ts';
import type { Use } from '../db/settings.ts';
import { readConfig, type Config } from '../config/config.ts';
import { say } from './print.ts';

export type Session = { readonly config: Config; readonly db: Database };

/** @param use `application` where the application's migrations run */
export async function withDatabase<T>(body: (session: Session) => Promise<T>, use: Use = 'ours'): Promise<T> {
  const config = readConfig(process.env);
  const db = openDatabase({
    url: config.databaseUrl,
    max: 2,
    use,
    applicationName: 'waybill cli',
    onIdleError: (error) => say(`the connection to the database broke: ${error.message}`),
  });
  try {
    return await body({ config, db });
  } finally {
    await db.end();
  }
}
