// A session that somebody has for himself, and questions that come to it again and again at rest: prepared, with the columns known to who asks,
// and told to a callback. To describe the rows each time and to hand the answer from promise to promise costs a tenth of a millisecond there,
// when nothing of it is in the processor's caches.

import type pg from 'pg';
import { markError, toExecutor, type Executor } from './executor.ts';
import { byIndexAlone, isServersOwn, nameOf } from './prepared.ts';

/** A row as Postgres sends it: its columns in their order, as texts. */
export type Texts = readonly (string | null)[];

/** `rows` is empty after an error. Does not throw. */
export type Answered = (error: Error | null, rows: readonly Texts[]) => void;

export type Session = Executor & {
  /** It keeps plans that are made from the indexes alone: it may be asked. */
  keepsPlans(): boolean;
  /** From now on it keeps them, where the client talks to the server itself. For sessions that run nothing but what such plans are right for. */
  keepPlans(): Promise<void>;
  /** @param values as texts, for `$1 …` */
  ask(text: string, values: readonly string[], answered: Answered): void;
};

export function sessionOn(client: pg.Client): Session {
  const prepared = new Set<string>();
  let isKeeping: boolean | undefined; // undefined: nobody has asked
  return {
    ...toExecutor(client),
    keepsPlans: () => isKeeping === true,
    async keepPlans() {
      if (isKeeping !== undefined) return;
      const isOwn = await isServersOwn(client);
      if (isOwn) await client.query(byIndexAlone);
      isKeeping = isOwn;
    },
    ask(text, values, answered) {
      client.query(new Question(text, values, prepared, answered));
    },
  };
}

/** A query as pg wants one. */
class Question {
  readonly #text: string;
  readonly #values: readonly string[];
  readonly #prepared: Set<string>;
  readonly #rows: Texts[] = [];
  /** pg puts its timeout around it. */
  callback: Answered;

  constructor(text: string, values: readonly string[], prepared: Set<string>, answered: Answered) {
    this.#text = text;
    this.#values = values;
    this.#prepared = prepared;
    this.callback = answered;
  }

  submit(connection: pg.Connection): void {
    const name = nameOf(this.#text);
    connection.stream.cork(); // one packet
    if (!this.#prepared.has(this.#text)) {
      connection.close({ type: 'S', name }, true); // of an earlier time, if it failed
      connection.parse({ name, text: this.#text, types: [] }, true);
    }
    connection.bind({ statement: name, values: this.#values as string[] }, true);
    connection.execute({}, true);
    connection.sync();
    connection.stream.uncork();
  }

  handleDataRow({ fields }: { readonly fields: Texts }): void {
    this.#rows.push(fields);
  }

  handleCommandComplete(): void {} // the transaction is not committed yet

  handleReadyForQuery(): void {
    this.#prepared.add(this.#text);
    this.callback(null, this.#rows);
  }

  handleError(error: Error): void {
    this.#prepared.delete(this.#text); // it may be outdated by a migration, or gone with DISCARD ALL
    this.callback(markError(error), []);
  }
}
