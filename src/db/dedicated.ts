// A dedicated connection, and prepared statements that run on it often: their columns are known, and a callback gets the rows. Describing the rows
// each time, and passing the answer from promise to promise, costs a tenth of a millisecond at rest, when none of it is in the processor's caches
// (npm run bench -- latency).

import type pg from 'pg';
import { serialize } from 'pg-protocol';
import { markError, toExecutor, type Executor } from './executor.ts';
import { byIndexAlone, isServersOwn, nameOf } from './prepared.ts';

/** A row as Postgres sends it: its columns in their order, as texts. */
export type Texts = readonly (string | null)[];
type Values = Texts;

/** `rows` is empty after an error. Does not throw. */
export type Answered = (error: Error | null, rows: readonly Texts[]) => void;

export type DedicatedConnection = Executor & {
  /** It keeps plans that are made from the indexes alone, because its client talks to the server itself: it may be asked. */
  readonly keepsPlans: boolean;
  /** @param values as texts, for `$1 …` */
  ask(text: string, values: Values, answered: Answered): void;
};

/**
 * For sessions that run nothing but what plans made from the indexes alone are right for.
 * @param client its queries have no timeout of pg's: whoever holds the connection notices when it falls silent (listen.ts)
 */
export async function openDedicated(client: pg.Client): Promise<DedicatedConnection> {
  const keepsPlans = await isServersOwn(client);
  if (keepsPlans) await client.query(byIndexAlone);
  const statements = new Map<string, Statement>();
  function statementOf(text: string): Statement {
    let statement = statements.get(text);
    if (!statement) statements.set(text, (statement = new Statement(text)));
    return statement;
  }
  return {
    ...toExecutor(client),
    keepsPlans,
    ask(text, values, answered) {
      client.query(new PreparedQuery(statementOf(text), values, answered));
    },
  };
}

/** What goes out for a statement: the same bytes as long as the values are the same. */
class Statement {
  readonly #name: string;
  readonly #text: string;
  #isPrepared = false;
  #values: Values = [];
  #run = Buffer.of();

  constructor(text: string) {
    this.#name = nameOf(text);
    this.#text = text;
  }

  message(values: Values): Buffer {
    if (this.#run.length === 0 || values.some((value, i) => value !== this.#values[i])) {
      this.#values = values;
      const bound = serialize.bind({ statement: this.#name, values: [...values] });
      this.#run = Buffer.concat([bound, serialize.execute({}), serialize.sync()]);
    }
    if (this.#isPrepared) return this.#run;
    const closed = serialize.close({ type: 'S', name: this.#name }); // of an earlier time, if it failed
    return Buffer.concat([closed, serialize.parse({ name: this.#name, text: this.#text }), this.#run]);
  }

  answered(isGood: boolean): void {
    this.#isPrepared = isGood; // after an error it may be outdated by a migration, or gone with DISCARD ALL
  }
}

/** A query as pg wants one. */
class PreparedQuery {
  readonly #statement: Statement;
  readonly #values: Values;
  readonly #answered: Answered;
  readonly #rows: Texts[] = [];

  constructor(statement: Statement, values: Values, answered: Answered) {
    this.#statement = statement;
    this.#values = values;
    this.#answered = answered;
  }

  submit({ stream }: pg.Connection): void {
    if (stream.writable) stream.write(this.#statement.message(this.#values)); // else pg is about to tell of it
  }

  handleDataRow({ fields }: { readonly fields: Texts }): void {
    this.#rows.push(fields);
  }

  handleCommandComplete(): void {} // the transaction is not committed yet

  handleReadyForQuery(): void {
    this.#statement.answered(true);
    this.#answered(null, this.#rows);
  }

  handleError(error: Error): void {
    this.#statement.answered(false);
    this.#answered(markError(error), []);
  }
}
