// Operations on queues: list, pause, resume. A pause applies to the whole fleet from the next claim on.

import type { Executor } from '../db/executor.ts';
import { momentOf, momentText, type Moment } from '../db/moment.ts';
import { cleanError } from '../redaction/redact.ts';
import { nearest } from '../nearest.ts';
import { isOpen, inFlight, places, waits } from '../outbox/waiting.ts';
import { WaybillError } from '../errors.ts';
import { outboxChannel } from '../outbox/notify.ts';

export type QueueState = 'open' | 'paused' | 'parked' | 'held';

export type QueueView = {
  readonly name: string;
  /** With several causes, the first of paused, parked, held. */
  readonly state: QueueState;
  /** The other causes. */
  readonly also: readonly QueueState[];
  readonly reason: string | null;
  readonly since: Moment | null;
  /** When a held queue opens; otherwise null. */
  readonly until: Moment | null;
  /** The person who paused it, or the worker that met the operator failure. */
  readonly by: string | null;
  /** For a parked queue. */
  readonly probe: {
    readonly nextAt: Moment;
    readonly failed: number;
    readonly messageId: string | null;
  } | null;
  /** Waiting messages, due or not. */
  readonly waiting: number;
  /** Those that a worker may claim now: due, in an open queue. */
  readonly ready: number;
  readonly inFlight: number;
  /** Messages per second over the whole fleet; null: no limit. */
  readonly rate: number | null;
};

const known = `
  known as (
    select name from waybill.queues union select queue from place
    union select queue from waybill.outbox_messages where ${inFlight()})`;

export const knownQueuesSql = `with recursive ${places}, ${known} select name from known order by name`;

/** One queue, or all of them when $1 is null. */
export const listQueuesSql = `
  with recursive ${places}, ${known},
  waiting as (
    select queue, count(*)::int as n, count(*) filter (where available_at <= now())::int as due
      from waybill.outbox_messages where ${waits()} group by queue),
  handed as (
    select queue, count(*)::int as sending from waybill.outbox_messages where ${inFlight()} group by queue)
  select known.name, ${momentText('q.paused_at')} as paused_at, q.paused_by, q.paused_reason,
         ${momentText('q.parked_at')} as parked_at, q.parked_by, q.parked_reason, ${momentText('q.probe_at')} as probe_at, q.probes,
         q.probe_message, case when q.held_until > now() then ${momentText('q.held_until')} end as held_until,
         ${momentText('q.held_at')} as held_at, q.held_reason, q.rate,
         coalesce(waiting.n, 0) as waiting, case when ${isOpen('known.name')} then coalesce(waiting.due, 0) else 0 end as ready, coalesce(handed.sending, 0) as sending
    from known left join waybill.queues q on q.name = known.name
    left join waiting on waiting.queue = known.name left join handed on handed.queue = known.name
   where $1::text is null or known.name = $1
   order by known.name`;

type Row = Record<`${'paused' | 'parked'}_${'at' | 'by' | 'reason'}`, string | null> &
  Record<`held_${'at' | 'until' | 'reason'}`, string | null> & {
    name: string;
    probe_at: string | null;
    probes: number | null;
    probe_message: string | null;
    rate: number | null;
    waiting: number;
    ready: number;
    sending: number;
  };

export async function listQueues(db: Executor): Promise<QueueView[]> {
  return (await db.executeSql<Row>(listQueuesSql, [null])).rows.map(viewOf);
}

function viewOf(row: Row): QueueView {
  const { name, waiting, ready, sending: inFlight, rate, probe_at: nextAt } = row;
  const { paused_at: paused, parked_at: parked, held_until: until } = row;
  const causes = [
    ...(paused === null ? [] : [cause('paused', row.paused_reason, paused, { by: row.paused_by })]),
    ...(parked === null ? [] : [cause('parked', row.parked_reason, parked, { by: row.parked_by })]),
    ...(until === null ? [] : [cause('held', row.held_reason, row.held_at, { until: momentOf(until) })]),
  ];
  const [first = cause('open', null, null), ...others] = causes;
  const probe =
    parked && nextAt
      ? { nextAt: momentOf(nextAt), failed: row.probes ?? 0, messageId: row.probe_message }
      : null;
  return { name, ...first, also: others.map(({ state }) => state), probe, waiting, ready, inFlight, rate };
}

type Cause = Pick<QueueView, 'state' | 'reason' | 'since' | 'until' | 'by'>;

function cause(state: QueueState, reason: string | null, since: string | null, more?: Partial<Cause>): Cause {
  const shown = reason === null ? null : cleanError(reason);
  return { state, reason: shown, since: momentOf(since), until: null, by: null, ...more };
}

export const pauseSql = `
  insert into waybill.queues as q (name, paused_at, paused_by, paused_reason) values ($1, now(), $2, $3)
  on conflict (name) do update
     set paused_at = coalesce(q.paused_at, now()), paused_by = excluded.paused_by, paused_reason = excluded.paused_reason`;

/** Ends a pause, a parking and a hold, with a NOTIFY to relays and workers. */
export const resumeSql = `
  with resumed as (
    update waybill.queues
       set paused_at = null, paused_by = null, paused_reason = null, held_at = null, held_until = null, held_reason = null,
           reopened_at = case when parked_at is null then reopened_at else now() end, parked_at = null, parked_by = null,
           parked_reason = null, probe_at = null, probe_ms = null, probe_message = null,
           probed = '{}', maybe_own = '{}'
     where name = $1 returning name)
  select name, pg_notify('${outboxChannel}', name) from resumed`;

/**
 * Pausing a paused queue replaces the reason and the person.
 * @throws WaybillError `unknown_queue`
 */
export async function pauseQueue(
  db: Executor,
  name: string,
  { by, reason }: { readonly by: string; readonly reason: string | null },
): Promise<QueueView> {
  await checkKnown(db, name);
  await db.executeSql(pauseSql, [name, by, reason]);
  return show(db, name);
}

/**
 * Ends a pause, a parking and a hold. If the provider still fails, the queue is parked again.
 * @throws WaybillError `unknown_queue`
 */
export async function resumeQueue(db: Executor, name: string): Promise<QueueView> {
  await checkKnown(db, name);
  await db.executeSql(resumeSql, [name]);
  return show(db, name);
}

async function checkKnown(db: Executor, name: string): Promise<void> {
  const { rows } = await db.executeSql<{ name: string }>(knownQueuesSql);
  const names = rows.map((row) => row.name);
  if (names.includes(name)) return;
  const meant = nearest(name, names);
  const hint = meant ? `did you mean ${meant}?` : `there are ${names.join(', ')}`;
  throw new WaybillError('unknown_queue', `there is no queue ${JSON.stringify(name.slice(0, 80))}: ${hint}`);
}

async function show(db: Executor, name: string): Promise<QueueView> {
  const [row] = (await db.executeSql<Row>(listQueuesSql, [name])).rows;
  return viewOf(row!);
}

/** Registers a worker's queues, so that they can be paused even without messages and workers. */
export const registerQueuesSql = `
  insert into waybill.queues (name) select unnest($1::text[]) on conflict (name) do nothing`;

export async function registerQueues(db: Executor, names: readonly string[]): Promise<void> {
  await db.executeSql(registerQueuesSql, [names]);
}
