// The entry point `waybill`: what users import.

import './node-version.ts';
export { idempotent, type Json } from './action/idempotent.ts';
export { defineAction, type Access, type Action } from './define/action.ts';
export { ActionError } from './define/action-error.ts';
export { defineApp, type App } from './define/app.ts';
export type {
  ActionContext,
  ContextDatabase,
  EnqueueOptions,
  HandlerContext,
  Invoker,
} from './define/context.ts';
export { defineCron, type Cron } from './define/cron.ts';
export type { CronJobOptions } from './define/cron-job.ts';
export { defineEvent, type Event } from './define/event.ts';
export { defineJob, type Job } from './define/job.ts';
export { defineQueue, type Queue } from './define/queue.ts';
export { defineListener, type Listener } from './define/listener.ts';
export {
  createOutboxEventRecorder,
  createOutboxJobDispatcher,
  enqueueEmail,
  enqueueJob,
} from './define/recorder.ts';
export { defineOutboxRegistry, type Registry } from './define/registry.ts';
export { PermanentError, RetryAfter } from './delivery/failure.ts';
export { drainOutbox } from './drain/drain.ts';
export type { DrainReport } from './drain/report.ts';
export type {
  DeadLetteredEvent,
  DeliveredEvent,
  DrainedMessage,
  DrainInstrumentation,
  RetriedEvent,
} from './drain/instrumentation.ts';
export type { DrainOptions } from './drain/options.ts';
export { isEmailAddress } from './address/mailbox.ts';
export type { Attachment, Calendar } from './email/attachment.ts';
export type { EmailInput, EmailPayload } from './email/email.ts';
export { EmailError, type EmailFacts } from './email/error.ts';
export type { EmailBatches, EmailProvider, Handover, Mail, Receipt } from './email/provider.ts';
export {
  createOutboxDrainRoute,
  type DrainRouteOptions,
  type FetchHandler,
  type DrainRoute,
} from './http/drain.ts';
export type { Executor, PgLike } from './db/executor.ts';
export { WaybillError } from './errors.ts';
export { createMemoryOutbox, type MemoryOutbox } from './store/memory.ts';
export type { MemoryMessage } from './store/memory-message.ts';
export type { OnDead } from './message/flow.ts';
export type { ClaimedMessage, Enqueued, Kind, NewMessage, Status } from './message/message.ts';
export type { Claim, ClaimRequest, FailOptions, OutboxPort, Settled } from './outbox/port.ts';
export { createPostgresOutbox, type PostgresOutboxOptions } from './store/postgres.ts';
export { createPostgresOutboxSetupStatements } from './outbox/table.ts';
