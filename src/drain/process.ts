// What a process of the fleet adds to a drain: its metrics and logs, and the right to close a queue.

import type { ClaimedMessage } from '../message/message.ts';
import type { Mailing } from '../delivery/email.ts';
import type { AttemptEvents } from '../worker/end.ts';
import type { QueueCloser } from '../worker/queue-closer.ts';
import type { DrainReport } from './report.ts';

export type DrainingProcess = {
  readonly events?: AttemptEvents | undefined;
  readonly closer?: QueueCloser | undefined;
  /** What the fleet's emails need beside their provider. */
  readonly mailing?: Pick<Mailing, 'failover' | 'unsure'> | undefined;
  /** The name of its database among several; default null: there is one. */
  readonly database?: string | null | undefined;
  /** Claims the probes of parked queues, which nothing else claims where no worker runs. */
  claimProbes?(): Promise<readonly ClaimedMessage[]>;
  /** Called after each batch but the last, with `untilEmpty`. */
  batched?(total: DrainReport): void;
};
