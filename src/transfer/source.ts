// A source: a system whose pending jobs become messages. Each one does the same three steps: it makes jobs unavailable to its own workers, hands them
// over to be recorded, and forgets them. So a job is never at both sides, and an import that dies in between goes on where it was.

import type { Executor } from '../db/executor.ts';
import type { NewMessage } from '../message/message.ts';
import type { SealOptions } from '../message/seal.ts';

export const sourceNames = ['pg-boss', 'graphile-worker', 'bullmq', 'ndjson'] as const;
export type SourceName = (typeof sourceNames)[number];

/** A job that waits in the source, in our words. It can be written as JSON. */
export type SourceJob = {
  /** As the source names it. */
  readonly id: string;
  /** Tells it from earlier jobs of its queue with the same id: the time when it was made, for example. Undefined: ids are never used again. */
  readonly made?: string | undefined;
  /** By which the map finds it: a queue, a task, or a queue and a job name. */
  readonly queue: string;
  /** A wider name that the map may have instead. */
  readonly within?: string | undefined;
  /** The payload as JSON. */
  readonly json: string;
  /** ISO 8601. */
  readonly dueAt: string;
  /** Higher goes first, −1000 to 1000. */
  readonly priority: number;
  /** Attempts that the source would still make, at least 1. */
  readonly attemptsLeft: number;
  /** The key by which the source knows duplicates. */
  readonly key?: string | undefined;
  readonly orderKey?: string | undefined;
  readonly group?: string | undefined;
  /** Other jobs wait for it. It stays, and those of its order key with it. */
  readonly inFlow?: true | undefined;
  readonly tags?: readonly string[] | undefined;
  /** Of a line of an export: what a message has and a job of another library has not. */
  readonly exported?: Exported | undefined;
};

export type Exported = Pick<
  NewMessage,
  'kind' | 'name' | 'queue' | 'requestId' | 'onDead' | keyof SealOptions
>;

/** What one queue of the source has. */
export type SourceQueue = {
  readonly queue: string;
  readonly within?: string | undefined;
  /** Jobs that wait for their time, a worker or a retry. Only they are imported. */
  readonly pending: number;
  /** Jobs that a worker of the source runs now. */
  readonly inFlight: number;
  /** Jobs that the source has given up. */
  readonly failed: number;
  /** Pending jobs that wait for other jobs, or that others wait for. */
  readonly inFlows: number;
  /** Why its jobs cannot be imported, and what to do. */
  readonly unsupported?: string;
};

/** A queue by all that names it: `a/b/c` is the job b/c of the queue a in BullMQ, or the job c of the queue a/b. */
export const nameOf = ({ queue, within }: Pick<SourceQueue, 'queue' | 'within'>): string =>
  JSON.stringify([within ?? queue, queue]);

/** A schedule in the source, which must be defined with `defineCron`. */
export type SourceSchedule = {
  readonly name: string;
  readonly schedule: string;
  readonly timeZone: string | null;
};

export type Survey = {
  /** The version of the source's schema, for people. */
  readonly version: string;
  readonly queues: readonly SourceQueue[];
  readonly schedules: readonly SourceSchedule[];
  /** Jobs that an interrupted import made unavailable, and has not recorded for certain. */
  readonly held: number;
};

/** Where a walk through the source is; its meaning is the source's own. */
export type Place = { readonly [part: string]: string | number };

/** A walk through the pending jobs of these queues, in the order in which the source would start them. */
export type Walk = {
  readonly queues: readonly SourceQueue[];
  /** Also the jobs that the source has given up, instead of those that wait. */
  readonly failed: boolean;
  readonly after: Place | undefined;
  readonly limit: number;
};

export type Page = {
  readonly jobs: readonly SourceJob[];
  /** Undefined: the walk is over. */
  readonly next: Place | undefined;
};

/** What the import does with jobs. `F` is a job with the message that it becomes. */
export type Handling<F extends { readonly job: SourceJob }> = {
  /** The jobs that may become messages; the others stay where they are. */
  choose(jobs: readonly SourceJob[]): Promise<readonly F[]>;
  /**
   * Records messages, each once. The jobs in the answer are done with.
   * @param tx the transaction in which the source lets go of the jobs; undefined: the source is elsewhere
   */
  record(chosen: readonly F[], tx: Executor | undefined): Promise<readonly SourceJob[]>;
};

export type Source = {
  readonly name: SourceName;
  /** @throws WaybillError `source_not_found`, `source_unsupported` */
  survey(): Promise<Survey>;
  /** A page of the walk. Nothing is changed. */
  read(walk: Walk): Promise<Page>;
  /** The same page: its chosen jobs are recorded, and leave the source. Returns the number of jobs read, and of those that left. */
  move<F extends { readonly job: SourceJob }>(walk: Walk, handling: Handling<F>): Promise<Moved>;
  /** Goes on with the jobs that an interrupted import holds, in the order in which it took them. */
  resume<F extends { readonly job: SourceJob }>(
    after: string,
    limit: number,
    handling: Handling<F>,
  ): Promise<Moved & { readonly last: string }>;
  close(): Promise<void>;
};

export type Moved = { readonly read: number; readonly left: number; readonly next: Place | undefined };

/** Of a source that holds nothing. */
export const nothingHeld = async (): Promise<Moved & { readonly last: string }> => ({
  read: 0,
  left: 0,
  next: undefined,
  last: '',
});

/** The source's priorities on our scale. */
export const clampedPriority = (priority: number): number =>
  Math.min(1_000, Math.max(-1_000, Math.trunc(priority))) + 0;
