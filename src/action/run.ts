// Runs an action in one transaction: begin, handler, commit, notify (invariant A). Only a `safeToRetry` action is run again.

import { z } from 'zod';
import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import { isConflict, isUnreachable } from '../db/diagnosis.ts';
import { Scope } from '../db/scope.ts';
import type { Transaction } from '../db/transaction.ts';
import { isActionError } from '../define/action-error.ts';
import type { Action } from '../define/action.ts';
import type { Invoker } from '../define/context.ts';
import { issuesOf } from '../define/payload.ts';
import type { Registry } from '../define/registry.ts';
import type { Log } from '../metrics/log.ts';
import { nearest } from '../nearest.ts';
import { WaybillError } from '../errors.ts';
import { type Notify, createCommitNotify } from '../outbox/notify.ts';
import type { OutboxPort } from '../outbox/port.ts';
import type { Random } from '../ports.ts';
import { pause } from '../timer.ts';
import { parseArguments } from './arguments.ts';
import { createContext } from './context.ts';
import { checkKeyHolder, onceOf } from './idempotency.ts';
import { createDeadline, TimedOut } from './deadline.ts';
import { currentTraceparent, traceIdOf } from '../trace/trace.ts';

export type ActionPorts = {
  readonly db: Pick<Database, 'transaction'>;
  readonly registry: Registry;
  /** Runs the action without its application: its events and jobs are not checked against the registry. */
  readonly alone?: boolean | undefined;
  readonly outboxOn: (tx: Executor) => OutboxPort;
  readonly emailFrom: string | null;
  /** Its name among several; default null: there is one. */
  readonly database?: string | null | undefined;
  readonly log: Log;
  /** Called after a commit that recorded messages. */
  readonly notify: Notify;
  readonly random?: Random;
  /** Aborts when the process ends, so that running actions end too. */
  readonly signal?: AbortSignal;
};

export type Call = {
  readonly invoker: Invoker;
  readonly requestId: string;
  readonly signal?: AbortSignal | undefined;
  readonly traceparent?: string | undefined;
  /** A repeat with the same key, caller and arguments returns the first result. Kept for a day. */
  readonly idempotencyKey?: string | undefined;
  /** A hash of the caller's credential, which owns the keys of an invoker without id. */
  readonly credential?: string | undefined;
};

export type Answer = {
  readonly result: unknown;
  /** True when this is the result of an earlier call with the same idempotency key. */
  readonly repeated: boolean;
};

export type ActionRunner = {
  /**
   * Returns the result, encoded by the action's result schema if it has one.
   * @throws WaybillError `unknown_action`, `unauthorized`, `forbidden`, `invalid_arguments`; errors of the handler pass through
   */
  run(name: string, args: unknown, call: Call): Promise<unknown>;
  /** Like `run`, and says whether the result is repeated. @throws also WaybillError `idempotency_key_running`, `idempotency_key_reused` */
  call(name: string, args: unknown, call: Call): Promise<Answer>;
  /** @throws WaybillError `unknown_action`, `unauthorized`, `forbidden` */
  authorize(name: string, invoker: Invoker): Action;
};

/** The most runs of a `safeToRetry` action for one call. */
const maxRuns = 3;

export function createActionRunner(ports: ActionPorts): ActionRunner {
  const { registry, log, random = Math.random } = ports;

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

  async function answer(name: string, given: unknown, call: Call): Promise<Answer> {
    const action = authorize(name, call.invoker);
    checkKeyHolder(action, call);
    const args = await parseArguments(action, given);
    for (let runs = 1; ; runs++) {
      try {
        return await runOnce(action, { args, given }, call, ports);
      } catch (error) {
        if (!action.safeToRetry || runs === maxRuns || !isPassing(error)) throw error;
        log.warn({ err: error, action: name, runs, requestId: call.requestId }, 'an action is run again');
        await pause(20 * 4 ** (runs - 1) * (0.5 + random()));
      }
    }
  }

  return {
    authorize,
    call: answer,
    run: async (name, given, call) => (await answer(name, given, call)).result,
  };
}

type Arguments = { readonly args: unknown; /** Before parsing. */ readonly given: unknown };

async function runOnce(action: Action, { args, given }: Arguments, call: Call, ports: ActionPorts) {
  const deadline = createDeadline([call.signal, ports.signal]);
  deadline.limit({ ms: action.timeoutMs, what: `the action ${action.name}` });
  const { signal } = deadline;
  const within = { ...call, signal };
  const commitNotify = createCommitNotify(ports.notify);
  const inScope = async (tx: Transaction, scope: Scope) => {
    const about = onceOf(action, given, call);
    let recorded: ReadonlySet<string> = new Set();
    const run = async (): Promise<unknown> => {
      const done = await deadline.race(performAction(action, args, within, { ...ports, tx, scope }));
      recorded = done.recorded;
      return done.result;
    };
    const { answer: result, repeated } = about
      ? await ports.outboxOn(tx).once(about, run)
      : { answer: await run(), repeated: false };
    signal.throwIfAborted();
    return { result, repeated, recorded };
  };
  const body = async (tx: Transaction) => {
    const scope = new Scope(tx);
    try {
      return await inScope(tx, scope);
    } finally {
      await scope.close(); // after the deadline, the handler may still have a statement in flight
    }
  };
  try {
    const { recorded, ...answer } = await ports.db.transaction(body, undefined, commitNotify);
    commitNotify.committed(recorded);
    return answer;
  } catch (error) {
    if (!(error instanceof TimedOut)) throw error;
    const message = `${error.message}; nothing of it was kept`;
    throw new WaybillError('action_timeout', message, [], { cause: error });
  } finally {
    deadline.stop();
  }
}

export type Performed = {
  readonly result: unknown;
  /** The queues and priorities in which messages were recorded (src/outbox/notify.ts). */
  readonly recorded: ReadonlySet<string>;
};

/** Runs the handler in a transaction that the caller commits. */
export async function performAction(
  action: Action,
  args: unknown,
  call: Call & { readonly parentId?: string },
  on: Pick<ActionPorts, 'registry' | 'alone' | 'emailFrom' | 'database' | 'log' | 'outboxOn'> & {
    readonly tx: Transaction;
    readonly scope: Scope;
  },
): Promise<Performed> {
  const { tx, scope, registry, emailFrom, database, outboxOn, log } = on;
  const { invoker, requestId, traceparent, parentId, signal = new AbortController().signal } = call;
  const traceId = traceIdOf(currentTraceparent() ?? traceparent);
  const state = { open: true, recorded: new Set<string>() };
  try {
    const ctx = createContext({
      scope,
      ...(on.alone ? {} : { registry }),
      emailFrom,
      database,
      invoker,
      requestId,
      traceparent,
      parentId,
      signal,
      caller: `action ${action.name}`,
      outbox: outboxOn(tx),
      log: log.child({ action: action.name, requestId, traceId }),
      emits: action.emits,
      keysRequired: action.safeToRetry,
      onRecorded: (places) => places.forEach((place) => state.recorded.add(place)),
      isOpen: () => state.open,
    });
    const result = await encodeResult(action, await action.handler(ctx, args));
    scope.finish();
    return { result, recorded: state.recorded };
  } finally {
    state.open = false; // before the commit, so that later statements of the handler are refused
  }
}

/** Runs inside the transaction, so that an invalid result rolls the action back. */
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

/** A serialisation failure, a deadlock or an unreachable database: the same call may succeed later. */
function isPassing(error: unknown): boolean {
  if (isActionError(error)) return false; // an ActionError is the answer, whatever its cause
  return isConflict(error) || isUnreachable(error);
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
