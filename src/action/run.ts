// One action = one transaction: check the arguments, run the handler, commit, nudge the relay.

import { decodeArgs, encodeResult } from '../define/call.ts';
import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import type { Invoker } from '../define/context.ts';
import type { Registry } from '../define/registry.ts';
import type { Log } from '../metrics/log.ts';
import { WaybillError } from '../outbox/errors.ts';
import type { OutboxPort } from '../outbox/port.ts';
import { createContext } from './context.ts';

export type ActionCall = { readonly invoker: Invoker; readonly requestId: string; readonly signal: AbortSignal };

export type ActionRunner = {
  /**
   * Runs the action to its commit and gives its result.
   * @throws WaybillError `unknown_action`, `invalid_arguments`; what the handler throws passes through, and nothing is committed
   */
  run(name: string, args: unknown, call: ActionCall): Promise<unknown>;
};

export type ActionRunnerOptions = {
  readonly db: Database;
  readonly registry: Registry;
  readonly outboxOn: (tx: Executor) => OutboxPort;
  readonly emailFrom: string | null;
  readonly log: Log;
  /** Called after a commit that recorded something. */
  readonly nudge: () => void;
};

export function createActionRunner(options: ActionRunnerOptions): ActionRunner {
  const { db, registry, outboxOn, emailFrom, log, nudge } = options;
  return {
    async run(name, given, call) {
      const action = registry.action(name);
      if (!action) throw new WaybillError('unknown_action', `there is no action ${JSON.stringify(name.slice(0, 100))}`);
      const args = await decodeArgs(action, given);
      let recorded = false;
      const result = await db.transaction(async (tx) => {
        const ctx = createContext({
          ...call, tx, outbox: outboxOn(tx), emailFrom, emailRetry: registry.emailRetry,
          caller: `action ${name}`, emits: action.emits,
          log: log.child({ action: name, requestId: call.requestId }),
          onRecorded: () => (recorded = true),
        });
        return encodeResult(action, await action.handler(ctx, args));
      });
      if (recorded) nudge();
      return result;
    },
  };
}
