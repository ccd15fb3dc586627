// A commit that takes a statement with it: both in one message, so that the second costs no round trip. Postgres begins it after the commit and
// apart from it; what becomes of it changes nothing of what was committed.

import type pg from 'pg';
import { marking } from './executor.ts';

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
    new Pair(`commit; ${sql}`, (error, tags) => {
      const [command] = tags;
      if (command === undefined) reject(error ?? new Error('the commit has no answer'));
      else resolve({ command, both: error === null });
    }),
  );
  return marking(promise);
}

/** A query that hears of each of its statements, as pg wants one: with its own, the answer to the first is lost when the second fails. */
class Pair {
  readonly #text: string;
  readonly #tags: string[] = [];
  /** pg puts its timeout around it. */
  callback: (error: Error | null, tags: readonly string[]) => void;

  constructor(text: string, callback: (error: Error | null, tags: readonly string[]) => void) {
    this.#text = text;
    this.callback = callback;
  }

  submit(connection: pg.Connection): void {
    connection.query(this.#text);
  }

  handleRowDescription(): void {} // nobody asks for rows

  handleDataRow(): void {}

  handleCommandComplete({ text }: { readonly text: string }): void {
    this.#tags.push(text);
  }

  handleError(error: Error): void {
    this.callback(error, this.#tags);
  }

  handleReadyForQuery(): void {
    this.callback(null, this.#tags);
  }
}
