// Runs objects that pg's client submits itself: a Query, a cursor or a stream.
// Each holds the connection until the server is ready for the next query.

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

/** Returns the same object, as pg does. @throws WaybillError `transaction_statement` */
export function submit(scope: Scope, query: Submittable, rest: readonly unknown[]): Submittable {
  const text = textOf(query);
  checkStatement(text);
  const { promise: answered, resolve: end, reject: fail } = Promise.withResolvers<void>();
  const whole = scope.hold(() =>
    scope.run((tx) => {
      scope.abandoning(() => void (query.close ?? query.destroy)?.call(query));
      // Rejects only when a lazy transaction fails to begin; otherwise it resolves with the query itself.
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

/** Stands in for the connection that a query uses after an error. */
const noConnection = { sync: () => undefined, removeListener: () => undefined };

type Watcher = {
  readonly end: () => void;
  /** Resolves when the scope has finished with the query, before its caller is notified. */
  readonly ended: Promise<void>;
  readonly tag: (tag: string) => void;
};

/** Wraps the query's handlers, so that the watcher gets its end and its command tags before the caller. */
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
