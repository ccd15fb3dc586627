// The implementation of `idempotent`: key, result and effect share a savepoint of the handler's transaction.

import type { Executor } from '../db/executor.ts';
import type { Scope } from '../db/scope.ts';
import type { OutboxPort } from '../outbox/port.ts';

type Within = { readonly scope: Scope; readonly outbox: OutboxPort; readonly caller: string };

/** When `make` throws, the key and the writes of `make` are undone, even if the handler goes on. */
export function onceWithin(
  { scope, outbox, caller }: Within,
  key: string,
  make: () => unknown,
): Promise<unknown> {
  return scope.nest(async (inner) => {
    // Runs the outbox's statements in the order of the scope.
    const db: Executor = { executeSql: (...statement) => inner.run((tx) => tx.executeSql(...statement)) };
    return (await outbox.on(db).once({ scope: caller, key }, async () => make())).answer;
  });
}
