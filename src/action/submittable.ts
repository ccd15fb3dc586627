// What pg's client submits as it is: a Query, a cursor, a stream. It holds the connection from its turn until the server is ready again.

import type { Scope } from '../db/scope.ts';
import { checkStatement, isEnd, textOf } from './control.ts';

export type Submittable = {
  submit(connection: unknown): unknown;
  handleReadyForQuery(...given: readonly unknown[]): unknown;
  handleError(...given: readonly unknown[]): unknown;
  handleCommandComplete?(...given: readonly unknown[]): unknown;
  close?(): unknown;
  destroy?(): unknown;
};

export function isSubmittable(query: unknown): query is Submittable {
  return typeof (query as Partial<Submittable> | null | undefined)?.submit === 'function';
}

/** Gives the same object, as pg does. @throws WaybillError `transaction_statement` */
export function submit(scope: Scope, query: Submittable, rest: readonly unknown[]): Submittable {
  const text = textOf(query);
  checkStatement(text);
  const { promise: answered, resolve: end, reject: fail } = Promise.withResolvers<void>();
  const whole = scope.hold(() =>
    scope.run((tx) => {
      scope.abandoning(() => void (query.close ?? query.destroy)?.call(query));
      // A lazy transaction may fail to begin; otherwise the answer is the query itself.
      Promise.resolve(Reflect.apply(tx.client.query, tx.client, [query, ...rest])).catch(fail);
      return answered.finally(() => scope.abandoning(undefined));
    }),
  );
  const { handleError } = query;
  const ended = whole.catch(() => undefined);
  watch(query, { end, ended, tag: (tag) => isEnd(tag, text) && scope.lose(tag) });
  whole.catch((error: unknown) => handleError.call(query, error, noConnection)); // it was never submitted
  return query;
}

/** What a query does with its connection after an error, where there is none. */
const noConnection = { sync: () => undefined, removeListener: () => undefined };

type Watcher = {
  readonly end: () => void;
  /** Resolves when nobody waits for the query any more: then its caller may hear of it. */
  readonly ended: Promise<void>;
  readonly tag: (tag: string) => void;
};

/** The query goes on as it was; the watcher hears of its end, before its caller does, and of the tags of its statements. */
function watch(query: Submittable, { end, ended, tag }: Watcher): void {
  const { handleReadyForQuery, handleError, handleCommandComplete } = query;
  query.handleReadyForQuery = (...given) => {
    end();
    void ended.then(() => handleReadyForQuery.call(query, ...given));
  };
  query.handleError = (...given) => {
    end();
    void ended.then(() => handleError.call(query, ...given));
  };
  if (!handleCommandComplete) return;
  query.handleCommandComplete = (...given) => {
    const { text } = (given[0] ?? {}) as { readonly text?: unknown };
    if (typeof text === 'string') tag(/^[A-Z]+(?: [A-Z]+)*/.exec(text)?.[0] ?? text);
    return handleCommandComplete.call(query, ...given);
  };
}
