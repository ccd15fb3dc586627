// What `idempotent` asks of a context: key, answer and effect in a nested scope of the handler's transaction.

import type { Executor } from '../db/executor.ts';
import type { Scope } from '../db/scope.ts';
import type { OutboxPort } from '../outbox/port.ts';

type Within = { readonly scope: Scope; readonly outbox: OutboxPort; readonly caller: string };

/** When `make` throws and the handler goes on, neither the key nor what `make` wrote stays. */
export function onceWithin(
  { scope, outbox, caller }: Within,
  key: string,
  make: () => unknown,
): Promise<unknown> {
  return scope.nest(async (inner) => {
    const { answer } = await outbox.on(inScope(inner)).once({ scope: caller, key }, async () => make());
    return answer;
  });
}

/** Statements of an outbox, each in its turn. */
function inScope(scope: Scope): Executor {
  return { executeSql: (...statement) => scope.run((tx) => tx.executeSql(...statement)) };
}
