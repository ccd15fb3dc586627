// The database of a development fleet: that of DATABASE_URL, or one of a Postgres that is started here and keeps its data.

import { openDatabase } from '../db/pool.ts';
import { startPostgres } from './postgres.ts';

export type DevDatabase = {
  readonly url: string;
  /** The folder of its data; null: it is somebody else's server. */
  readonly folder: string | null;
  /** Stops the server that was started here. */
  end(): Promise<void>;
};

const name = 'waybill';

/**
 * @param given the value of DATABASE_URL
 * @param project the project's folder
 * @throws WaybillError `postgres_missing`; Error with the end of the server's log when the server does not start
 */
export async function openDevDatabase(given: string | undefined, project: string): Promise<DevDatabase> {
  if (given) return { url: given, folder: null, end: async () => undefined };
  const server = await startPostgres({ project });
  try {
    await createDatabase(server.url());
  } catch (error) {
    await server.end();
    throw error;
  }
  return { url: server.url(name), folder: server.dir, end: server.end };
}

async function createDatabase(url: string): Promise<void> {
  const onIdleError = (): void => undefined; // the next statement reports it
  const db = openDatabase({ url, max: 1, applicationName: 'waybill dev', onIdleError });
  try {
    const { rows } = await db.executeSql('select 1 from pg_database where datname = $1', [name]);
    if (rows.length === 0) await db.executeSql(`create database ${name}`);
  } finally {
    await db.end();
  }
}
