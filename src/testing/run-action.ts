// An action without Postgres, for tests of use cases. The checks, the context and the transaction are the engine's own (src/action/run.ts), on an
// outbox in memory.

import type { z } from 'zod';
import { createActionRunner } from '../action/run.ts';
import type { PgLike } from '../db/executor.ts';
import type { Access, Action } from '../define/action.ts';
import { defineApp, type App } from '../define/app.ts';
import type { Invoker } from '../define/context.ts';
import { createRegistry } from '../define/registry.ts';
import { checkOptions } from '../define/shape.ts';
import { createLog } from '../metrics/log.ts';
import { WaybillError } from '../errors.ts';
import type { MemoryOutbox } from '../store/memory.ts';
import { newId } from '../message/id.ts';
import { handlerDatabase } from './handler-database.ts';

/** What `runAction` takes. */
export type RunActionOptions = {
  /** From createMemoryOutbox. Its `messages` are those that the action enqueued; none if the action failed. */
  readonly outbox: MemoryOutbox;
  /**
   * Answers `ctx.db.query` and `ctx.db.client.query`: a fake, or a pg client. Only the handler's queries reach it: no begin, commit or savepoint.
   * Without it, a query throws.
   */
  readonly db?: PgLike;
  /** Default: the least privileged that the action's access admits. */
  readonly invoker?: Invoker;
  /** With it, only events and jobs of the application can be enqueued; without it, any can. */
  readonly app?: App;
  /** The sender of emails that name none, as WAYBILL_EMAIL_FROM; default `sender@example.test`. */
  readonly emailFrom?: string;
  /** `ctx.database`. Default: null, as with one database. */
  readonly database?: string;
  /** `ctx.signal`. */
  readonly signal?: AbortSignal;
};

const known = ['outbox', 'db', 'invoker', 'app', 'emailFrom', 'database', 'signal'];

const letIn: Readonly<Record<Access, Invoker>> = {
  public: { type: 'anonymous' },
  authenticated: { type: 'user' },
  system: { type: 'system', source: 'outbox' },
};

/** The result as encoded by its schema; without a schema, as the handler returns it. */
export type ResultOf<R extends z.ZodType, T> = unknown extends z.output<R> ? T : z.input<R>;

/**
 * Runs the action as for a caller over HTTP, and returns the result, encoded by the result schema if there is one.
 * @throws WaybillError as in production: `unauthorized`, `forbidden`, `invalid_arguments`, `result_invalid`, `event_not_declared`,
 * `delivery_key_required` …; `test_database_missing` or `test_database_invalid`; and errors of the handler
 */
export async function runAction<A extends z.ZodType, R extends z.ZodType, T>(
  action: Action<A, R, T>,
  args: z.input<A>,
  options: RunActionOptions,
): Promise<ResultOf<R, T>> {
  checkOptions('runAction', options, known);
  const { outbox, db, app, invoker = letIn[action.access], signal } = options;
  const { emailFrom = 'sender@example.test', database } = options;
  const one = action as unknown as Action;
  if (app && !app.actions.includes(one))
    throw new WaybillError(
      'unknown_action',
      `the application has no action ${action.name}: add it to actions in defineApp`,
    );
  const { outboxOn, transaction } = handlerDatabase(outbox, db);
  const runner = createActionRunner({
    db: { transaction },
    outboxOn,
    emailFrom,
    database,
    registry: createRegistry(app ?? defineApp({ actions: [one], events: [...new Set(action.emits)] })),
    alone: app === undefined,
    log: createLog({ level: 'silent', role: 'test' }),
    notify: () => undefined,
  });
  return (await runner.run(action.name, args, { invoker, signal, requestId: newId() })) as ResultOf<R, T>;
}
