// begin, commit, rollback, savepoints; and which errors of Postgres mean what.

import type { Executor, PgLike } from './executor.ts';
import { toExecutor } from './executor.ts';

export type Transaction = Executor & {
  /** The pg client of the transaction, for a query builder that is to join it. */
  readonly client: PgLike;
  /** Commits now, with `last` as a final statement in the same round trip; the transaction is over after it. */
  commitWith(last: string): Promise<void>;
  /** A savepoint: undone alone when `body` throws. */
  savepoint<T>(body: (tx: Transaction) => Promise<T>): Promise<T>;
};

/** Runs `body` between begin and commit on one connection. `begin` may carry settings, in the same round trip. */
export async function inTransaction<T>(
  client: PgLike,
  body: (tx: Transaction) => Promise<T>,
  begin = 'begin',
): Promise<T> {
  await client.query(begin);
  const state = { open: true };
  try {
    const result = await body(joined(client, state, 1));
    if (state.open) await client.query('commit');
    return result;
  } catch (error) {
    if (state.open) await rollBack(client);
    throw error;
  }
}

async function rollBack(client: PgLike): Promise<void> {
  try {
    await client.query('rollback');
  } catch {
    // The connection is gone, and with it the transaction: the first error tells why.
  }
}

function joined(client: PgLike, state: { open: boolean }, depth: number): Transaction {
  return {
    ...toExecutor(client),
    client,
    async commitWith(last) {
      state.open = false;
      await client.query(`${last};commit`);
    },
    async savepoint(body) {
      const name = `waybill_${depth}`;
      await client.query(`savepoint ${name}`);
      try {
        const result = await body(joined(client, state, depth + 1));
        await client.query(`release savepoint ${name}`);
        return result;
      } catch (error) {
        await client.query(`rollback to savepoint ${name};release savepoint ${name}`);
        throw error;
      }
    },
  };
}

/** Five characters that Postgres gives an error (documentation, appendix A), or undefined. */
export function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** The database cannot be reached or is not taking work: nothing is wrong with the statement. */
export function isUnreachable(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== undefined) return /^(08|57P0|53)/.test(state);
  const code = (error as { code?: unknown } | null)?.code;
  if (typeof code === 'string') return /^E(CONN|HOST|NET|TIMEDOUT|PIPE|AI_AGAIN|NOTFOUND)/.test(code);
  return error instanceof Error && /timeout|terminated|Connection/i.test(error.message);
}

/** The relation or schema is not there: migrations have not run, or somebody dropped it. */
export function isMissingSchema(error: unknown): boolean {
  return ['42P01', '3F000', '42883'].includes(sqlState(error) ?? '');
}
