// Empties tables while a fleet works on them.

import { isConflict } from '../src/db/diagnosis.ts';
import type { Database } from '../src/db/pool.ts';

/** More often would be no accident. */
const most = 5;

/**
 * Truncates the tables and those that refer to them. A fleet that takes the tables' locks in another order is a deadlock, which the database ends
 * with an error for one of the two: this one tries again.
 *
 * @throws what the database answers, a deadlock after five times
 */
export async function empty(db: Database, ...tables: readonly string[]): Promise<void> {
  const truncate = `truncate ${tables.join(', ')} cascade`;
  for (let turn = 1; ; turn++)
    try {
      // A trigger counts a million rows, which takes time.
      return void (await db.transaction(
        (tx) => tx.executeSql(truncate),
        'begin; set local statement_timeout = 0',
      ));
    } catch (error) {
      if (turn === most || !isConflict(error)) throw error;
    }
}
