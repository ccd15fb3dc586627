// Whether a server answers, for those who wait until it does.

import pg from 'pg';

/**
 * Connects once. @param url of a database
 * @returns false when that fails for any reason, or takes longer than 5 s
 */
export async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined); // a server that is still recovering hangs up; the answer is "not yet"
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined); // fails if it never connected, which is fine
  }
}
