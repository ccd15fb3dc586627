// A commit that takes a statement with it: both in one message, so that the second costs no round trip. Postgres begins it after the commit and
// apart from it; what becomes of it changes nothing of what was committed.

import type pg from 'pg';
import { marking } from './executor.ts';
import { Script } from './script.ts';

export type Committed = {
  /** `COMMIT`, or `ROLLBACK` when nothing was committed. */
  readonly command: string;
  /** The other statement went through. */
  readonly both: boolean;
};

/** @throws when the commit failed, or when its answer was lost */
export function commitWith(client: pg.ClientBase, sql: string): Promise<Committed> {
  const { promise, resolve, reject } = Promise.withResolvers<Committed>();
  client.query(
    new Script(`commit; ${sql}`, (error, tags) => {
      const [command] = tags;
      if (command === undefined) reject(error ?? new Error('the commit has no answer'));
      else resolve({ command, both: error === null });
    }),
  );
  return marking(promise);
}
