// The step *deliver*: one message → one Outcome, by kind. It knows the definitions and the far side, never the outbox's tables.

import { handlerContext } from '../action/context.ts';
import { lazyTransaction, type LazyTransaction } from '../db/lazy.ts';
import type { Database } from '../db/pool.ts';
import type { Job } from '../define/job.ts';
import type { Listener } from '../define/listener.ts';
import type { Registry } from '../define/registry.ts';
import type { EmailPayload } from '../email/email.ts';
import type { EmailProvider } from '../email/provider.ts';
import type { Log } from '../metrics/log.ts';
import { defaultBackoff, type Backoff } from '../outbox/backoff.ts';
import type { ClaimedMessage, NewMessage } from '../outbox/message.ts';
import type { Outcome } from '../outbox/outcome.ts';
import type { Executor } from '../db/executor.ts';
import type { OutboxPort } from '../outbox/port.ts';
import type { Deliver, Delivery } from './delivery.ts';
import { failureOf } from './failure.ts';

export type DeliverOptions = {
  readonly db: Database;
  readonly registry: Registry;
  readonly outboxOn: (db: Executor) => OutboxPort;
  readonly provider: EmailProvider;
  readonly emailFrom: string | null;
  readonly log: Log;
  readonly onEmail: (provider: string, outcome: 'accepted' | 'transient' | 'permanent' | 'operator') => void;
};

const delivered = (then: readonly NewMessage[] = []): Outcome => ({ type: 'delivered', then });
