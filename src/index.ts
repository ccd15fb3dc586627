// The entry point `waybill`: what users import.

/**
 * What an application imports: definitions (`defineAction`, `defineJob`, …), the outbox beside its own database client, and drains.
 *
 * Functions throw {@link WaybillError} with a `code`; the page _Errors_ lists every code and what to do about it. Times and durations are milliseconds, or a
 * {@link Duration} such as `30s`.
 *
 * @module waybill
 */

import './node-version.ts';
export { idempotent, type Json } from './action/idempotent.ts';
export {
  defineAction,
  type Access,
  type Action,
  type ActionOptions,
  type HttpRoute,
} from './define/action.ts';
export { ActionError } from './define/action-error.ts';
export { defineApp, type App, type AppOptions } from './define/app.ts';
export type { ConsoleOptions, ConsolePerson, Hooks, IncomingRequest } from './define/hooks.ts';
export type {
  ActionContext,
  ContextDatabase,
  EmailMessage,
  EndpointRef,
  EndpointTarget,
  EnqueueOptions,
  EventRecorder,
  HandlerContext,
  Invoker,
  JobTarget,
  QueryResult,
  ReplayOptions,
  Replayed,
  WebhookOptions,
  WebhookTo,
  WithPayload,
} from './define/context.ts';
export { defineCron, type Cron } from './define/cron.ts';
export type { CronJob, CronJobOptions } from './define/cron-job.ts';
export {
  defineEndpoint,
  type Endpoint,
  type EndpointAddress,
  type EndpointOptions,
  type ParkedEndpoint,
  type ResolveContext,
} from './define/endpoint.ts';
export { defineEvent, type Event } from './define/event.ts';
export { defineJob, type Job, type JobOptions } from './define/job.ts';
export { defineQueue, type Queue, type QueueOptions, type RateOptions } from './define/queue.ts';
export { defineListener, type Listener, type ListenerOptions } from './define/listener.ts';
export type { Batching } from './delivery/batching.ts';
export type { Guard } from './email/guard.ts';
export type { Suppressed } from './email/suppression.ts';
export { renderTemplate, type Rendered, type RenderOptions } from './email/template.ts';
export type { Backoff } from './message/backoff.ts';
export type { Role } from './config/admin-keys.ts';
export type { RetryOptions, RetryPolicy } from './define/retry.ts';
export {
  createOutboxEventRecorder,
  createOutboxJobDispatcher,
  enqueueEmail,
  enqueueJob,
  enqueueWebhook,
  type Origin,
  type Recording,
} from './define/recorder.ts';
export { createOutboxNotify, type OutboxNotify, type OutboxNotifyOptions } from './outbox/announcer.ts';
export { defineOutboxRegistry, type Registry } from './define/registry.ts';
export { PermanentError, RetryAfter } from './delivery/failure.ts';
export { drainOutbox } from './drain/drain.ts';
export { pruneOutbox, type PruneOptions, type PruneReport } from './drain/prune.ts';
export type { DrainReport } from './drain/report.ts';
export type {
  DeadLetteredEvent,
  DeliveredEvent,
  DrainedMessage,
  DrainInstrumentation,
  EventFacts,
  RetriedEvent,
} from './drain/instrumentation.ts';
export type { DrainEmail, DrainOptions } from './drain/options.ts';
export { isEmailAddress, type Address, type AddressInput } from './address/mailbox.ts';
export type { Attachment, Calendar } from './email/attachment.ts';
export type { AddressesInput, EmailInput, EmailPayload, Stream } from './email/email.ts';
export { EmailError, type EmailFacts, type Phase } from './email/error.ts';
export type { EmailBatches, EmailProvider, Handover, Mail, Receipt } from './email/provider.ts';
export {
  createOutboxDrainRoute,
  type DrainRouteOptions,
  type FetchHandler,
  type DrainRoute,
} from './http/drain.ts';
export type { Executor, PgLike, SqlResult } from './db/executor.ts';
export type { PgPool, PgPoolClient, Rider, Savepoint, Transaction, Transactions } from './db/transaction.ts';
export type { Duration } from './duration.ts';
export { WaybillError, type ErrorIssue } from './errors.ts';
export { createMemoryOutbox, type MemoryOutbox, type MemoryTransaction } from './store/memory.ts';
export type { MemoryMessage } from './store/memory-message.ts';
export type { DuplicateOptions } from './message/duplicate.ts';
export type { FlowOptions, OnDead } from './message/flow.ts';
export type { ClaimedMessage, Enqueued, Kind, NewMessage, Status } from './message/message.ts';
export type { DeadCause, Note, Settlement } from './message/outcome.ts';
export type { PayloadKey, PayloadKeys, Sealing, SealOptions } from './message/seal.ts';
export type { TagOptions } from './message/tags.ts';
export type { Log } from './metrics/log.ts';
export type { Answered, Once } from './outbox/once.ts';
export type { Claim, ClaimRequest, Expired, FailOptions, OutboxPort, Settled } from './outbox/port.ts';
export { createPostgresOutbox, type PostgresOutboxOptions } from './store/postgres.ts';
export { createPostgresOutboxSetupStatements, type TableOptions } from './outbox/table.ts';
export type { Milliseconds } from './ports.ts';
export type { Limits, Rate } from './queues/limits.ts';
