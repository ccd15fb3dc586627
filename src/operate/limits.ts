// An operator's limits of a queue: they replace the application's, one by one, until they are reset.

import type { Executor } from '../db/executor.ts';
import { parseDuration } from '../duration.ts';
import { WaybillError } from '../errors.ts';
import { outboxChannel } from '../outbox/notify.ts';
import { checkCount, parseRate, type Limits, type Rate } from '../queues/limits.ts';
import { checkKnown, showQueue, type QueueView } from '../queues/queues.ts';

/** As people write them. `none` lifts a limit of the application. */
export type LimitsGiven = {
  readonly rate?: string | undefined;
  /** Starts that may begin at once; needs `rate`. */
  readonly burst?: string | undefined;
  readonly concurrency?: string | undefined;
  readonly perProcess?: string | undefined;
  readonly perGroupConcurrency?: string | undefined;
  readonly perGroupRate?: string | undefined;
  readonly ramp?: string | undefined;
};

/**
 * @param given `rate`: `50/s`, `100/m` or `1000/h`; counts: whole numbers; `ramp`: `30s`; each may be `none`
 * @throws WaybillError `invalid_limit_value`
 */
export function readLimits(given: LimitsGiven): Limits {
  const { rate, burst } = given;
  if (burst !== undefined && (rate === undefined || rate === 'none'))
    throw new WaybillError(
      'invalid_limit_value',
      'burst is a part of a rate: give both, such as 50/s with a burst of 10',
    );
  const limits: Limits = {
    ...each('rate', rate, (text) => withBurst(parseRate('rate', text), burst)),
    ...each('concurrency', given.concurrency, (text) => count('concurrency', text)),
    ...each('concurrencyPerProcess', given.perProcess, (text) => count('perProcess', text)),
    ...each('groupConcurrency', given.perGroupConcurrency, (text) => count('perGroupConcurrency', text)),
    ...each('groupRate', given.perGroupRate, (text) => parseRate('perGroupRate', text)),
    ...each('rampMs', given.ramp, ramp, 0),
  };
  if (Object.keys(limits).length > 0) return limits;
  throw new WaybillError(
    'invalid_limit_value',
    'no limit is given: give a rate, a concurrency, perProcess, perGroupConcurrency, perGroupRate or ramp, or reset them',
  );
}

function each(
  name: keyof Limits,
  text: string | undefined,
  read: (text: string) => number | Rate,
  none: 0 | null = null,
): Limits {
  if (text === undefined) return {};
  return { [name]: text === 'none' ? none : read(text) };
}

function count(name: string, text: string): number {
  return checkCount(name, /^\d{1,9}$/.test(text) ? Number(text) : text);
}

function withBurst(rate: Rate, burst: string | undefined): Rate {
  if (burst === undefined) return rate;
  const whole = count('burst', burst);
  if (whole <= rate.limit) return { ...rate, burst: whole };
  throw new WaybillError(
    'invalid_limit_value',
    `burst is ${whole}, and must not exceed the rate's limit, ${rate.limit}`,
  );
}

function ramp(text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined && ms <= 86_400_000) return ms;
  throw new WaybillError(
    'invalid_limit_value',
    `ramp is ${JSON.stringify(text.slice(0, 40))}, and must be a duration such as 30s, at most 24h`,
  );
}

/** Values: queue, limits (null: none any more), operator, reason. Workers and relays get a NOTIFY. */
export const limitSql = `
  with limited as (
    insert into waybill.queues as q (name, operator_limits, limited_by, limited_at, limited_reason)
    values ($1, coalesce($2::text::jsonb, '{}'), $3, now(), $4)
    on conflict (name) do update
       set operator_limits = case when $2::text is null then '{}' else q.operator_limits || $2::text::jsonb end,
           limited_by = excluded.limited_by, limited_at = excluded.limited_at, limited_reason = excluded.limited_reason
    returning name)
  select name, pg_notify('${outboxChannel}', name) from limited`;

type About = { readonly by: string; readonly reason: string | null };

/**
 * Sets limits of a queue for the whole fleet; those that are not given stay as they are. Of two operators the later one decides for each limit.
 * @throws WaybillError `unknown_queue`
 */
export async function limitQueue(
  db: Executor,
  name: string,
  limits: Limits,
  { by, reason }: About,
): Promise<QueueView> {
  await checkKnown(db, name);
  await db.executeSql(limitSql, [name, JSON.stringify(limits), by, reason]);
  return showQueue(db, name);
}

/**
 * The application's limits hold again.
 * @throws WaybillError `unknown_queue`
 */
export async function resetLimits(db: Executor, name: string, { by, reason }: About): Promise<QueueView> {
  await checkKnown(db, name);
  await db.executeSql(limitSql, [name, null, by, reason]);
  return showQueue(db, name);
}
