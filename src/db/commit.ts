// A commit and a second statement in one message, so the second costs no round trip. Postgres starts it after the commit and apart from it. Its
// failure does not affect the commit.

import type pg from 'pg';
import { marking } from './executor.ts';
import { Script } from './script.ts';

export type Committed = {
  /** `COMMIT`, or `ROLLBACK` when nothing was committed. */
  readonly command: string;
  /** Whether the second statement succeeded too. */
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
