// A dedicated connection, with prepared statements that run often. Their columns are known, and a callback gets the rows. Describing the rows each
// time, and passing the answer through promises, costs 0.1 ms when idle, because the processor's caches are cold (npm run bench -- latency).

import type pg from 'pg';
import { serialize } from 'pg-protocol';
import type { Milliseconds } from '../ports.ts';
import { markError, toExecutor, type Executor } from './executor.ts';
import { byIndexAlone, isServersOwn, nameOf } from './prepared.ts';

/** A row as Postgres sends it: its columns in order, as texts. */
export type Texts = readonly (string | null)[];
type Values = Texts;

/** `rows` is empty after an error. Does not throw. */
export type Answered = (error: Error | null, rows: readonly Texts[]) => void;

export type DedicatedConnection = Executor & {
  /** It keeps plans that use indexes only, because its client talks to the server directly. Only then may `ask` be used. */
  readonly keepsPlans: boolean;
  /** @param values as texts, for `$1 …` */
  ask(text: string, values: Values, answered: Answered): void;
};

/**
 * Only for statements for which plans that use indexes only are right.
 * @param client its queries have no timeout in pg: the owner of the connection must notice when it falls silent (listen.ts)
 * @param answerMs limit of each of the first statements: behind a pooler, a login succeeds while no server answers
 */
export async function openDedicated(
  client: pg.Client,
  answerMs: Milliseconds = 5_000,
): Promise<DedicatedConnection> {
  const query = (text: string) => client.query(timed(text, answerMs));
  const keepsPlans = await isServersOwn(client, query);
  if (keepsPlans) await query(byIndexAlone);
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

/** A statement with a time limit of its own. pg takes it; its types do not know it. */
export function timed(text: string, limitMs: Milliseconds): pg.QueryConfig {
  const config = { text, query_timeout: limitMs };
  return config;
}

/** The bytes sent for a statement. They are reused while the values stay the same. */
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
    const closed = serialize.close({ type: 'S', name: this.#name }); // a failed statement may have left this name behind
    return Buffer.concat([closed, serialize.parse({ name: this.#name, text: this.#text }), this.#run]);
  }

  answered(isGood: boolean): void {
    this.#isPrepared = isGood; // after an error it may be outdated by a migration, or removed by DISCARD ALL
  }
}

/** A query object of pg. */
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
    if (stream.writable) stream.write(this.#statement.message(this.#values)); // otherwise pg is about to report the error
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
