// How long work waited for which limit of its queue. A relay notes it while messages are due in a queue with limits: at most once a second in the
// whole fleet, because the row decides.

import type { Executor } from '../db/executor.ts';
import type { Clock, Milliseconds } from '../ports.ts';
import { inFlight } from '../outbox/waiting.ts';

/** What is noted at a time: a relay that stood still notes no more. */
const mostSeconds = 2;

const limit = (name: string): string => `(q.limits ->> '${name}')::int`;

/** Queues as an array. What binds a queue is its concurrency if that many are in flight, otherwise its rate, otherwise limits of its groups. */
export const noteLimitedSql = `
  with busy as (
    select queue, count(*) as n from waybill.outbox_messages where ${inFlight()} and queue = any($1::text[]) group by queue),
  bound as (
    select q.name, least(extract(epoch from (now() - q.limited_seen_at)), ${mostSeconds}) as seconds,
           case when coalesce(b.n, 0) >= ${limit('concurrency')} then 'concurrency'
                when q.ramp_from > (now() - q.ramp) then 'ramp'
                when q.limits -> 'rate' <> 'null' then 'rate'
                when q.limits -> 'groupConcurrency' <> 'null' or q.limits -> 'groupRate' <> 'null' then 'group' end as by
      from waybill.queues q left join busy b on b.queue = q.name
     where q.name = any($1::text[]) and (q.is_limited or q.ramp_from > (now() - q.ramp)) and q.limited_seen_at < (now() - interval '1 second'))
  update waybill.queues q
     set limited_seen_at = now(),
         limited_seconds = case when bound.by is null then q.limited_seconds
           else jsonb_set(q.limited_seconds, array[bound.by], to_jsonb(coalesce((q.limited_seconds ->> bound.by)::numeric, 0) + bound.seconds)) end
    from bound where q.name = bound.name and q.limited_seen_at < (now() - interval '1 second')`;

const everyMs: Milliseconds = 1_000;

/** @returns a function to call with the queues that have due messages */
export function createLimitNotes(db: Executor, clock: Clock): (queues: readonly string[]) => Promise<void> {
  let at = Number.NEGATIVE_INFINITY;
  return async (queues) => {
    const now = clock.now();
    if (queues.length === 0 || now - at < everyMs) return;
    at = now;
    await noteLimited(db, [...new Set(queues)]);
  };
}

export async function noteLimited(db: Executor, queues: readonly string[]): Promise<void> {
  await db.executeSql(noteLimitedSql, [queues]);
}
