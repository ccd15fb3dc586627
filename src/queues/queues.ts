// Operations on queues: list, pause, resume. A pause applies to the whole fleet from the next claim on.

import type { Executor } from '../db/executor.ts';
import { momentOf, momentText, type Moment } from '../db/moment.ts';
import { cleanError } from '../redaction/redact.ts';
import { nearest } from '../nearest.ts';
import { isClosed, isOpen, isPaused, inFlight, places, waits } from '../outbox/waiting.ts';
import { WaybillError } from '../errors.ts';
import { outboxChannel } from '../outbox/notify.ts';
import { timeText } from '../db/values.ts';
import { limitsOf, type Limits, type LimitsRow, type QueueLimits } from './limits.ts';
import {
  providerOf,
  providersJson,
  reopenProvidersOf,
  type ProviderRow,
  type ProviderView,
} from './providers.ts';
import { perSecond } from './rate.ts';
import type { Milliseconds } from '../ports.ts';

export type QueueState = 'open' | 'paused' | 'parked' | 'held';

export type QueueView = {
  readonly name: string;
  /** With several causes, the first of paused, parked, held. */
  readonly state: QueueState;
  /** The other causes. */
  readonly also: readonly QueueState[];
  readonly reason: string | null;
  readonly since: Moment | null;
  /** When a hold or a pause ends; null: without an end. */
  readonly until: Moment | null;
  /** The person who paused it, or the worker that met the operator failure. */
  readonly by: string | null;
  /** For a parked queue. */
  readonly probe: {
    readonly nextAt: Moment;
    readonly failed: number;
    readonly messageId: string | null;
  } | null;
  /** Of the queue of emails, where several providers are configured: the providers in their order. */
  readonly providers: readonly ProviderView[];
  /** Waiting messages, due or not. */
  readonly waiting: number;
  /** Those that a worker may claim now: due, in an open queue. */
  readonly ready: number;
  readonly inFlight: number;
  /** Starts per second over the whole fleet; null: no limit. */
  readonly rate: number | null;
  readonly limits: QueueLimits;
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
  select known.name, case when ${isPaused('q.')} then ${momentText('q.paused_at')} end as paused_at, q.paused_by, q.paused_reason,
         ${momentText('q.paused_until')} as paused_until,
         ${momentText('q.parked_at')} as parked_at, q.parked_by, q.parked_reason, ${momentText('q.probe_at')} as probe_at, q.probes,
         q.probe_message, case when q.held_until > now() then ${momentText('q.held_until')} end as held_until,
         ${momentText('q.held_at')} as held_at, q.held_reason, ${perSecond('q.')} as rate,
         coalesce(q.limits, '{}') as limits, coalesce(q.app_limits, '{}') as app_limits, coalesce(q.operator_limits, '{}') as operator_limits,
         q.limited_by, ${momentText('q.limited_at')} as limited_at, q.limited_reason,
         coalesce(waiting.n, 0) as waiting, case when ${isOpen('known.name')} then coalesce(waiting.due, 0) else 0 end as ready, coalesce(handed.sending, 0) as sending,
         case when known.name = 'email' then ${providersJson} else '[]' end as providers
    from known left join waybill.queues q on q.name = known.name
    left join waiting on waiting.queue = known.name left join handed on handed.queue = known.name
   where $1::text is null or known.name = $1
   order by known.name`;

type Row = Record<`${'paused' | 'parked'}_${'at' | 'by' | 'reason'}`, string | null> &
  Record<`held_${'at' | 'until' | 'reason'}`, string | null> &
  LimitsRow & {
    name: string;
    paused_until: string | null;
    probe_at: string | null;
    probes: number | null;
    probe_message: string | null;
    rate: number | null;
    waiting: number;
    ready: number;
    sending: number;
    providers: readonly ProviderRow[];
  };

export async function listQueues(db: Executor): Promise<QueueView[]> {
  return (await db.executeSql<Row>(listQueuesSql, [null])).rows.map(viewOf);
}

function viewOf(row: Row): QueueView {
  const { name, waiting, ready, sending: inFlight, rate, probe_at: nextAt } = row;
  const { paused_at: paused, parked_at: parked, held_until: until } = row;
  const causes = [
    ...(paused === null
      ? []
      : [
          cause('paused', row.paused_reason, paused, {
            by: row.paused_by,
            until: momentOf(row.paused_until),
          }),
        ]),
    ...(parked === null ? [] : [cause('parked', row.parked_reason, parked, { by: row.parked_by })]),
    ...(until === null ? [] : [cause('held', row.held_reason, row.held_at, { until: momentOf(until) })]),
  ];
  const [first = cause('open', null, null), ...others] = causes;
  const probe =
    parked && nextAt
      ? { nextAt: momentOf(nextAt), failed: row.probes ?? 0, messageId: row.probe_message }
      : null;
  return {
    name,
    ...first,
    also: others.map(({ state }) => state),
    probe,
    waiting,
    ready,
    inFlight,
    rate,
    limits: limitsOf(row),
    providers: row.providers.map(providerOf),
  };
}

type Cause = Pick<QueueView, 'state' | 'reason' | 'since' | 'until' | 'by'>;

function cause(state: QueueState, reason: string | null, since: string | null, more?: Partial<Cause>): Cause {
  const shown = reason === null ? null : cleanError(reason);
  return { state, reason: shown, since: momentOf(since), until: null, by: null, ...more };
}

/** Values: name, person, reason, end (or null), ms until the end (or null). No row: the end has passed. */
export const pauseSql = `
  insert into waybill.queues as q (name, paused_at, paused_by, paused_reason, paused_until)
  select $1, now(), $2, $3, e.at from (select coalesce($4::text::timestamptz, now() + ($5::float8 * interval '1 millisecond')) as at) e
   where e.at is null or e.at > now()
  on conflict (name) do update
     set paused_at = case when ${isPaused('q.')} then q.paused_at else now() end, paused_by = excluded.paused_by,
         paused_reason = excluded.paused_reason, paused_until = excluded.paused_until
  returning name`;

/** Ends a pause, a parking and a hold, with a NOTIFY to relays and workers. Parked providers of its emails are used again too. */
export const resumeSql = `
  with providers as (${reopenProvidersOf('$1')}),
  resumed as (
    update waybill.queues
       set paused_at = null, paused_by = null, paused_reason = null, paused_until = null, held_at = null, held_until = null, held_reason = null,
           ramp_from = case when ${isClosed} then now() else ramp_from end,
           reopened_at = case when parked_at is null then reopened_at else now() end, parked_at = null, parked_by = null,
           parked_reason = null, probe_at = null, probe_ms = null, probe_message = null,
           probed = '{}', maybe_own = '{}'
     where name = $1 returning name)
  select name, pg_notify('${outboxChannel}', name) from resumed`;

/** Tells workers that messages of a queue may be due. Values: queue. */
export const announceQueueSql = `select pg_notify('${outboxChannel}', $1)`;

/** When a pause ends, by the database's clock: at a time, after milliseconds, or (neither) when a person resumes the queue. */
export type PauseEnd = { readonly until?: Date; readonly forMs?: Milliseconds };

/**
 * Pausing a paused queue replaces the reason, the person and the end.
 * @throws WaybillError `unknown_queue`, `invalid_pause` when the end has passed
 */
export async function pauseQueue(
  db: Executor,
  name: string,
  { by, reason, until, forMs }: { readonly by: string; readonly reason: string | null } & PauseEnd,
): Promise<QueueView> {
  await checkKnown(db, name);
  const { rows } = await db.executeSql(pauseSql, [name, by, reason, timeText(until), forMs ?? null]);
  if (rows.length === 0)
    throw new WaybillError(
      'invalid_pause',
      `a pause until ${until?.toISOString()} would have ended already: give a time to come`,
    );
  return showQueue(db, name);
}

/**
 * Ends a pause, a parking and a hold. If the provider still fails, the queue is parked again.
 * @throws WaybillError `unknown_queue`
 */
export async function resumeQueue(db: Executor, name: string): Promise<QueueView> {
  await checkKnown(db, name);
  await db.executeSql(resumeSql, [name]);
  return showQueue(db, name);
}

export async function checkKnown(db: Executor, name: string): Promise<void> {
  const { rows } = await db.executeSql<{ name: string }>(knownQueuesSql);
  const names = rows.map((row) => row.name);
  if (names.includes(name)) return;
  const meant = nearest(name, names);
  const hint = meant ? `did you mean ${meant}?` : `there are ${names.join(', ')}`;
  throw new WaybillError('unknown_queue', `there is no queue ${JSON.stringify(name.slice(0, 80))}: ${hint}`);
}

/** One queue that is known. */
export async function showQueue(db: Executor, name: string): Promise<QueueView> {
  const [row] = (await db.executeSql<Row>(listQueuesSql, [name])).rows;
  return viewOf(row!);
}

/** Values: queues, and the application's limits of each. Other workers get a NOTIFY of what changed. */
export const registerQueuesSql = `
  with registered as (
    insert into waybill.queues as q (name, app_limits) select n.name, n.limits::jsonb from unnest($1::text[], $2::text[]) as n(name, limits)
    on conflict (name) do update set app_limits = excluded.app_limits where q.app_limits <> excluded.app_limits
    returning name)
  select name, pg_notify('${outboxChannel}', name) from registered`;

/** Registers a worker's queues, so that they can be paused even without messages and workers, and the limits that the application defines. */
export async function registerQueues(
  db: Executor,
  names: readonly string[],
  limits: ReadonlyMap<string, Limits> = new Map(),
): Promise<void> {
  await db.executeSql(registerQueuesSql, [
    names,
    names.map((name) => JSON.stringify(limits.get(name) ?? {})),
  ]);
}
