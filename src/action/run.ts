// An action is one transaction: begin, handler, commit, nudge (invariant A). Repeated by itself only when it says that it may be.

import { z } from 'zod';
import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import { isUnreachable, sqlState } from '../db/transaction.ts';
import type { Action } from '../define/action.ts';
import type { Invoker } from '../define/context.ts';
import { issuesOf } from '../define/payload.ts';
import type { Registry } from '../define/registry.ts';
import type { Log } from '../metrics/log.ts';
import { nearest } from '../nearest.ts';
import { WaybillError } from '../outbox/errors.ts';
import type { OutboxPort } from '../outbox/port.ts';
import { parseArguments } from './arguments.ts';
import { createContext } from './context.ts';

export type ActionPorts = {
  readonly db: Database;
  readonly registry: Registry;
  readonly outboxOn: (tx: Executor) => OutboxPort;
  readonly emailFrom: string | null;
  readonly log: Log;
  /** Called after a commit that recorded something. */
  readonly nudge: () => void;
};

export type Call = {
  readonly invoker: Invoker;
  readonly requestId: string;
  readonly signal?: AbortSignal | undefined;
  readonly traceparent?: string | undefined;
};

export type ActionRunner = {
  /**
   * Gives the result, encoded by the result schema if there is one.
   * @throws WaybillError `unknown_action`, `unauthorized`, `forbidden`, `invalid_arguments`, and what the handler throws
   */
  run(name: string, args: unknown, call: Call): Promise<unknown>;
  /** @throws WaybillError `unknown_action`, `unauthorized`, `forbidden` */
  authorize(name: string, invoker: Invoker): Action;
};

/** Runs of a `safeToRetry` action at most. */
const maxRuns = 3;

export function createActionRunner(ports: ActionPorts): ActionRunner {
  const { registry, log } = ports;

  function authorize(name: string, invoker: Invoker): Action {
    const action = registry.action(name) ?? unknownAction(name, registry);
    if (action.access === 'authenticated' && invoker.type === 'anonymous')
      throw new WaybillError(
        'unauthorized',
        `${name} needs a caller who is known: Authorization: Bearer, with the key of WAYBILL_API_KEY`,
      );
    if (action.access === 'system' && invoker.type !== 'system')
      throw new WaybillError('forbidden', `${name} is for the system alone`);
    return action;
  }

  return {
    authorize,
    async run(name, given, call) {
      const action = authorize(name, call.invoker);
      const args = await parseArguments(action, given);
      for (let runs = 1; ; runs++) {
        try {
          return await runOnce(action, args, call, ports);
        } catch (error) {
          if (!action.safeToRetry || runs === maxRuns || !isPassing(error)) throw error;
          log.warn({ err: error, action: name, runs, requestId: call.requestId }, 'an action is run again');
        }
      }
    },
  };
}

async function runOnce(action: Action, args: unknown, call: Call, ports: ActionPorts): Promise<unknown> {
  const { db, registry, emailFrom, outboxOn, nudge } = ports;
  const { invoker, requestId, traceparent, signal = new AbortController().signal } = call;
  const state = { open: true, recorded: false };
  try {
    const result = await db.transaction(async (tx) => {
      const ctx = createContext({
        tx,
        registry,
        emailFrom,
        invoker,
        requestId,
        traceparent,
        signal,
        caller: `action ${action.name}`,
        outbox: outboxOn(tx),
        log: ports.log.child({ action: action.name, requestId }),
        emits: action.emits,
        keysRequired: action.safeToRetry,
        onRecorded: () => (state.recorded = true),
        isOpen: () => state.open,
      });
      const encoded = await encodeResult(action, await action.handler(ctx, args));
      state.open = false; // before the commit: a statement that comes later belongs to nobody
      signal.throwIfAborted();
      return encoded;
    });
    if (state.recorded) nudge();
    return result;
  } finally {
    state.open = false;
  }
}

/** Inside the transaction: a result that cannot be told undoes what it tells of. */
async function encodeResult(action: Action, result: unknown): Promise<unknown> {
  const encoded = action.result
    ? await z.safeEncodeAsync(action.result, result)
    : { success: true as const, data: result };
  if (!encoded.success)
    throw new WaybillError(
      'result_invalid',
      `the result of ${action.name} does not fit its schema`,
      issuesOf(encoded.error),
    );
  JSON.stringify(encoded.data); // throws on what JSON cannot carry
  return encoded.data ?? null;
}

/** Serialisation failure, deadlock, lost connection: the same call may well succeed. */
function isPassing(error: unknown): boolean {
  return ['40001', '40P01'].includes(sqlState(error) ?? '') || isUnreachable(error);
}

function unknownAction(name: string, registry: Registry): never {
  const known = registry.app.actions.filter(({ access }) => access !== 'system').map((action) => action.name);
  const meant = nearest(name, known);
  const shown = JSON.stringify(name.slice(0, 80));
  throw new WaybillError(
    'unknown_action',
    `there is no action ${shown}${meant ? `, did you mean ${meant}?` : ''}`,
  );
}
