// A handler's access to its transaction: queries, nested transactions as savepoints, and a client for query builders.
// Concurrent statements run one after the other (src/db/scope.ts). After the handler's end they are refused,
// because the connection may carry another transaction.

import { marking, type PgLike } from '../db/executor.ts';
import type { Scope } from '../db/scope.ts';
import type { ContextDatabase, QueryResult } from '../define/context.ts';
import { checkStatement, endIn, textOf } from './control.ts';
import { isSubmittable, submit } from './submittable.ts';

/** @param check throws when the transaction may not be used any more */
export function contextDatabase(scope: Scope, check: () => void): ContextDatabase {
  return {
    query<Row>(sql: string, params: readonly unknown[] = []) {
      return scope.hold(async () => {
        const answer = (await ask([sql, [...params]])) as Answer<Row> | Answer<Row>[];
        const { rows, rowCount } = Array.isArray(answer) ? answer.at(-1)! : answer; // the result of the last statement
        return { rows, rowCount: rowCount ?? rows.length } satisfies QueryResult<Row>;
      });
    },
    transaction: (body) =>
      scope.hold(async () => {
        check();
        return scope.nest((inner) => body(contextDatabase(inner, check)));
      }),
    client: { query: clientQuery } as PgLike,
  };

  /** Passes every form of query to pg unless it would end the transaction. */
  async function ask(given: readonly unknown[]): Promise<unknown> {
    check();
    const text = textOf(given[0]);
    checkStatement(text);
    const result = await scope.run((tx) => marking(Reflect.apply(tx.client.query, tx.client, given)));
    const end = endIn(result, text);
    if (end !== undefined) scope.lose(end);
    return result;
  }

  /** Like pg's `client.query`: it returns a promise, calls a callback, or submits an object. */
  function clientQuery(...given: readonly unknown[]): unknown {
    check();
    if (isSubmittable(given[0])) return submit(scope, given[0], given.slice(1));
    const { callback: tell, rest } = withoutCallback(given);
    const answer = scope.hold(() => ask(rest));
    if (!tell) return answer;
    answer.then(
      (result) => tell(null, result),
      (error: unknown) => tell(error),
    );
    return undefined;
  }
}

type Answer<Row> = { readonly rows: Row[]; readonly rowCount?: number | null };

type Callback = (error: unknown, result?: unknown) => void;

/** Takes out the callback, which is an argument or in the config, as with Knex. */
function withoutCallback(given: readonly unknown[]): { callback?: Callback; rest: readonly unknown[] } {
  const callback = given.find((one) => typeof one === 'function') as Callback | undefined;
  if (callback) return { callback, rest: given.filter((one) => one !== callback) };
  const [config, ...others] = given as [{ callback?: Callback } | null, ...unknown[]];
  if (typeof config !== 'object' || typeof config?.callback !== 'function') return { rest: given };
  return { callback: config.callback, rest: [{ ...config, callback: undefined }, ...others] };
}
