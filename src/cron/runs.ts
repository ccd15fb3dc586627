// Runs: what became of each tick. A row is written with its message and ends with it. It stands for exactly one tick (invariant G: the index on
// name and time).

import type { Executor } from '../db/executor.ts';
import { qualified } from '../db/qualified.ts';
import { microseconds, numberOf, textOf, timeOf } from '../db/values.ts';
import { jobQueue } from '../define/job.ts';
import { checkMessage, type CheckedMessage } from '../message/message.ts';
import { newId } from '../message/id.ts';
import { hasFlow, insertRows, newRows, recordValues } from '../outbox/record.ts';
import type { CatchUpWindow } from './catchup.ts';
import type { Instant } from './zones.ts';

export const runStatuses = ['dispatched', 'succeeded', 'failed', 'skipped'] as const;
export type RunStatus = (typeof runStatuses)[number];

export type NewRun = {
  readonly name: string;
  readonly action: string;
  readonly args: unknown;
  readonly group?: string | undefined;
  readonly orderKey?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly manifest: string;
  readonly source: 'cron' | 'admin';
  readonly scheduledAt: Instant;
  readonly skippedTicks: number;
  readonly catchUpWindow: CatchUpWindow | null;
  /** Why it does not run; null: it is dispatched. */
  readonly skipped: 'overlap' | 'too_old' | 'disabled' | null;
};

/** Skips ticks that already have a row, and their messages. The last values are the rows of the messages. */
const recordRunsText = (flow: boolean): string => `
  with t as (
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::int[], $8::timestamptz[],
                         $9::timestamptz[], $10::text[], $11::uuid[])
      as t(id, name, action, source, scheduled_at, reason, skipped_ticks, catch_up_from, catch_up_to, manifest, message_id)),
  recorded as (
    insert into waybill.cron_runs (id, name, action, source, scheduled_at, dispatched_at, status, finished_at, reason, skipped_ticks,
                                   catch_up_from, catch_up_to, manifest, message_id)
    select id, name, action, source, scheduled_at, coalesce($12::timestamptz, now()),
           case when reason is null then 'dispatched' else 'skipped' end,
           case when reason is not null then coalesce($12::timestamptz, now()) end,
           reason, skipped_ticks, catch_up_from, catch_up_to, manifest, message_id from t
    on conflict (name, scheduled_at) where source = 'cron' do nothing
    returning id, message_id),
  messages as (${insertRows(`${newRows(13, flow)} join recorded r on r.message_id = n.id`, flow)})
  select id from recorded`;

export const recordRunsSql = recordRunsText(false);
const recordRunsFlowSql = recordRunsText(true);

/** A run with its id and its message; without a message if it is skipped. */
export type PreparedRun = NewRun & {
  readonly id: string;
  readonly message: (CheckedMessage & { readonly id: string }) | null;
};

/**
 * The payload of the message holds only the action's arguments; the run holds the facts of the tick.
 * @throws WaybillError when the arguments cannot be a payload
 */
export function prepareRun(run: NewRun): PreparedRun {
  const id = newId();
  if (run.skipped !== null) return { ...run, id, message: null };
  const { action: name, args: payload, group, orderKey, tags } = run;
  const message = checkMessage({
    kind: 'action',
    name,
    queue: jobQueue,
    payload,
    group,
    orderKey,
    tags,
    requestId: id,
  });
  return { ...run, id, message: { ...message, id: newId() } };
}

/**
 * Records runs and their messages in the transaction.
 * @param at the time that counts as now; null: the database's
 * @returns the ids of the runs that were recorded: a tick that already has a row is left out
 */
export async function recordRuns(
  tx: Executor,
  runs: readonly PreparedRun[],
  at: Date | null,
): Promise<Set<string>> {
  if (runs.length === 0) return new Set();
  const messages = runs.flatMap((run) => run.message ?? []);
  const flow = hasFlow(messages);
  const column = <T>(of: (run: PreparedRun) => T): T[] => runs.map(of);
  const time = (instant: Instant | undefined): Date | null =>
    instant === undefined ? null : new Date(instant);
  const values = [
    column((run) => run.id),
    column((run) => run.name),
    column((run) => run.action),
    column((run) => run.source),
    column((run) => time(run.scheduledAt)),
    column((run) => run.skipped),
    column((run) => run.skippedTicks),
    column((run) => time(run.catchUpWindow?.from)),
    column((run) => time(run.catchUpWindow?.to)),
    column((run) => run.manifest),
    column((run) => run.message?.id ?? null),
    at,
    ...recordValues(messages, flow),
  ];
  const { rows } = await tx.executeSql<{ id: string }>(flow ? recordRunsFlowSql : recordRunsSql, values);
  return new Set(rows.map((row) => row.id));
}

/** What a worker needs to know of a message's tick. */
export type Tick = Pick<PreparedRun, 'id' | 'manifest' | 'source' | 'skippedTicks'> & {
  readonly scheduledAt: Date;
  readonly dispatchedAt: Date;
  readonly catchUpFrom: Date | null;
  readonly catchUpTo: Date | null;
};

export const findTickSql = `
  select id::text as id, manifest, source, ${microseconds('scheduled_at')} as scheduled, ${microseconds('dispatched_at')} as dispatched,
         ${microseconds('catch_up_from')} as since, ${microseconds('catch_up_to')} as until, skipped_ticks::text as skipped
    from waybill.cron_runs where message_id = $1`;

/** Undefined if cron did not record the message. */
export async function findTick(db: Executor, messageId: string): Promise<Tick | undefined> {
  const [row] = (await db.executeSql(qualified(findTickSql), [messageId])).rows;
  if (row === undefined) return undefined;
  const time = (value: unknown): Date | null => (value === null ? null : timeOf(value));
  return {
    id: textOf(row['id']),
    manifest: textOf(row['manifest']),
    source: textOf(row['source']) as Tick['source'],
    scheduledAt: timeOf(row['scheduled']),
    dispatchedAt: timeOf(row['dispatched']),
    catchUpFrom: time(row['since']),
    catchUpTo: time(row['until']),
    skippedTicks: numberOf(row['skipped']),
  };
}

export const succeedSql = `
  update waybill.cron_runs set status = 'succeeded', finished_at = clock_timestamp(), result = $2::text::jsonb
   where id = $1 and status = 'dispatched'`;

/** Largest result that is kept, in bytes of JSON. */
const maxResultBytes = 4_096;

/** Records the success of a run, in the transaction of the action and the settlement. */
export async function succeed(tx: Executor, runId: string, result: unknown): Promise<void> {
  const json = JSON.stringify(result) ?? 'null';
  const kept = Buffer.byteLength(json) <= maxResultBytes && !/\\u(0000|d[89a-f])/.test(json); // jsonb cannot hold these
  await tx.executeSql(qualified(succeedSql), [runId, kept ? json : null]);
}
