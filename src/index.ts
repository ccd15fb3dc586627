// What users import.

export { defineAction, type Access, type Action } from './define/action.ts';
export { defineApp, type App } from './define/app.ts';
export type {
  ActionContext,
  ContextDatabase,
  EnqueueOptions,
  HandlerContext,
  Invoker,
} from './define/context.ts';
export { defineEvent, type Event } from './define/event.ts';
export { defineJob, type Job } from './define/job.ts';
export { defineListener, type Listener } from './define/listener.ts';
export { PermanentError, RetryAfter } from './delivery/failure.ts';
export { isEmailAddress } from './email/address.ts';
export type { EmailInput } from './email/email.ts';
export type { Executor, PgLike } from './db/executor.ts';
export { WaybillError } from './outbox/errors.ts';
export { createMemoryOutbox, type MemoryMessage, type MemoryOutbox } from './outbox/memory.ts';
export type { ClaimedMessage, Enqueued, Kind, NewMessage, Status } from './outbox/message.ts';
export type { Claim, ClaimRequest, FailOptions, OutboxPort, Settled } from './outbox/port.ts';
export { createPostgresOutbox, type PostgresOutboxOptions } from './outbox/postgres.ts';
