// The reasons, apart from the due time, for which messages wait: their queue is paused, parked, held or limited, their group is paused, parked, held or limited,
// another message of their order key comes first, or an email provider is parked that may have the email.
// They are shown with each such message and each closed queue.

import type { Executor } from '../db/executor.ts';
import { momentOf, momentText, textOfMoment, type Moment } from '../db/moment.ts';
import { inFlight, isGroupClosed, isPaused } from '../outbox/waiting.ts';
import { perSecond } from './rate.ts';

export type Wait = {
  readonly queue: string;
  /** With several causes, the first of these. */
  readonly state: 'paused' | 'parked' | 'held' | 'limited' | 'rate' | 'order' | 'provider';
  /** Its group, where the group is the reason and not the queue. */
  readonly group?: string;
  /** Given by the person, or the provider's answer. For an order key: the message that comes first, and its status. */
  readonly reason: string | null;
  /** Null for a rate. For an order key: when its message died. */
  readonly since: Moment | null;
  /** When a hold or a pause ends; null: nobody has set an end. */
  readonly until: Moment | null;
  /** The person who paused it, or the worker that met the operator failure. */
  readonly by: string | null;
  /** For a rate: messages per second over the whole fleet. */
  readonly rate: number | null;
};

type Told = Omit<Wait, 'since' | 'until'> & Readonly<Record<'since' | 'until', string | null>>;

const fact = (state: Wait['state'], facts: Partial<Record<keyof Wait, string>>): string => {
  const all = { state: `'${state}'`, queue: 'q.name', ...facts };
  const names = ['state', 'queue', 'reason', 'since', 'until', 'by', 'rate'] as const;
  const group = all.group === undefined ? '' : `'group', ${all.group}, `;
  return `jsonb_build_object(${group}${names.map((name) => `'${name}', ${all[name] ?? 'null'}`).join(', ')})`;
};

const closure = `
    when ${isPaused('q.')} then ${fact('paused', { reason: 'q.paused_reason', since: momentText('q.paused_at'), until: momentText('q.paused_until'), by: 'q.paused_by' })}
    when q.parked_at is not null then ${fact('parked', { reason: 'q.parked_reason', since: momentText('q.parked_at'), by: 'q.parked_by' })}
    when q.held_until > now() then ${fact('held', { reason: 'q.held_reason', since: momentText('q.held_at'), until: momentText('q.held_until') })}`;

const groupClosure = `
    when ${isPaused('g.')} then ${fact('paused', { group: 'g.group_key', reason: 'g.paused_reason', since: momentText('g.paused_at'), until: momentText('g.paused_until'), by: 'g.paused_by' })}
    when g.parked_at is not null then ${fact('parked', { group: 'g.group_key', reason: 'g.parked_reason', since: momentText('g.parked_at') })}
    when g.held_until > now() then ${fact('held', { group: 'g.group_key', reason: 'g.held_reason', since: momentText('g.held_at'), until: momentText('g.held_until') })}`;

/** In flight under a valid lease, as a claim counts it (waybill.queue_room). */
const running = (and: string): string =>
  `(select count(*) from waybill.outbox_messages f where ${inFlight('f.')} and f.queue = q.name and f.claimed_until > now()${and})`;
const limit = (name: string): string => `(q.limits ->> '${name}')::int`;
const full = (name: string, and = ''): string =>
  `q.is_limited and available_at <= now() and ${limit(name)} <= ${running(and)}`;
const allRun = (name: string): string => `format('its limit of %s are in flight', ${limit(name)})`;

const limited = `
    when ${full('concurrency')} then ${fact('limited', { reason: allRun('concurrency') })}
    when ${full('groupConcurrency', ` and f.group_key = own.own_group`)} then ${fact('limited', { group: 'own.own_group', reason: allRun('groupConcurrency') })}`;

/** The first message of an order key, for one that waits behind it (sql/0010_order.sql). */
const order = `(select ${fact('order', {
  queue: 'first.queue',
  reason: `format('the message %s comes first and is %s', first.id, first.status)`,
  since: momentText('first.dead_at'),
})} from (select queue as own_queue, order_key as own_key, available_at as own_time) own cross join lateral (
      select f.queue, f.id, f.status, f.dead_at from waybill.outbox_messages f
       where f.queue = own.own_queue and f.order_key = own.own_key
         and f.order_due is not null and f.delivered_at is null and f.cancelled_at is null
       order by f.available_at, f.order_position limit 1) first
   where own.own_time = 'infinity')`;

/** The parked provider that may have the email (src/email/handovers.ts). */
const provider = `(select ${fact('provider', {
  queue: 'queue',
  reason: `format('an earlier attempt may have arrived at %s, which is parked: %s', p.name, p.parked_reason)`,
  since: momentText('h.waits_since'),
})} from waybill.email_handovers h join waybill.email_providers p on p.name = h.provider
   where h.message_id = id and h.waits_since is not null and p.parked_at is not null)`;

/** SQL expression over a row of messages; null when only its due time delays it. */
export const waitsFor = `case when status in ('pending', 'failed') then coalesce(
  (select case ${closure}${groupClosure}${limited}
    when ${perSecond('q.')} is not null and available_at <= now() then ${fact('rate', { rate: perSecond('q.') })}
  end from waybill.queues q
        cross join lateral (select queue as own_queue, group_key as own_group) own
         left join waybill.queue_groups g on g.queue = q.name and g.group_key = own.own_group and ${isGroupClosed('g.')}
       where q.name = own.own_queue), ${order}, ${provider}) end`;

export const closedQueuesSql = `
  select wait from (select q.name, case ${closure} end as wait from waybill.queues q) known where wait is not null order by name`;

export type Closed = Wait & { readonly state: 'paused' | 'parked' | 'held' };

/** Every closed queue, with its reason. */
export async function closedQueues(db: Executor): Promise<Closed[]> {
  const { rows } = await db.executeSql<{ wait: Told }>(closedQueuesSql);
  return rows.map(({ wait }) => waitOf(wait) as Closed);
}

export function waitOf(told: Told): Wait {
  return { ...told, since: momentOf(told.since), until: momentOf(told.until) };
}

/** `the queue email is parked since 2026-01-01T00:00:00.000Z because smtp: …` */
export function waitLine({ queue, group, state, reason, since, until, rate }: Wait): string {
  if (state === 'rate') return `the queue ${queue} has a rate of ${rate} a second`;
  if (state === 'order')
    return `in the order of its key: ${reason}${since ? ` since ${textOfMoment(since)}` : ''}`;
  if (state === 'provider') return `${reason}; waiting${since ? ` since ${textOfMoment(since)}` : ''}`;
  const times = [since && ` since ${textOfMoment(since)}`, until && ` until ${textOfMoment(until)}`];
  const what = group === undefined ? `the queue ${queue}` : `the group ${group} of the queue ${queue}`;
  return `${what} is ${state}${times.filter(Boolean).join('')}${reason ? ` because ${reason}` : ''}`;
}
