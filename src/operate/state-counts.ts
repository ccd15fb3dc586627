// The number of messages in each state, counted up to a bound, so that a backlog of millions costs no more than 100,000.

import type { Executor } from '../db/executor.ts';
import type { Status } from '../message/message.ts';
import { inFlight, waits } from '../outbox/waiting.ts';
import { mostCounted } from './count.ts';
import { ownDue } from './filter.ts';

/** `scheduled`: those of the pending ones that are due later. */
export type CountedState = Status | 'scheduled';

/** `atLeast`: there may be more. */
export type StateCount = { readonly count: number; readonly atLeast: boolean };

const upTo = (condition: string): string =>
  `(select count(*)::int from (select from waybill.outbox_messages where ${condition} limit ${mostCounted + 1}) c)`;

/** Delivered messages may be millions: the audit counters have their number. */
export const stateCountsSql = `
  with waiting as materialized (
    select status, ${ownDue} > now() as "isLater" from waybill.outbox_messages
     where ${waits()} and delivered_at is null and dead_at is null limit ${mostCounted + 1})
  select (select count(*)::int from waiting) as waiting,
         (select count(*)::int from waiting where status = 'pending') as pending,
         (select count(*)::int from waiting where status = 'pending' and "isLater") as scheduled,
         (select count(*)::int from waiting where status = 'failed') as failed,
         ${upTo(inFlight())} as sending, ${upTo('dead_at is not null')} as dead, ${upTo('cancelled_at is not null')} as cancelled,
         (select greatest(0, coalesce(sum(case outcome when 'delivered' then n when 'pruned delivered' then -n end), 0))::float8
            from waybill.outbox_audit where outcome in ('delivered', 'pruned delivered')) as delivered`;

/** Whatever the statistics say: each count has its index. */
export const beforeCounts = 'set local enable_seqscan = off';

/**
 * All waiting and retrying messages are one bounded count: beyond it, each of its parts has `atLeast`.
 * @param db a transaction; its later statements read no table from end to end either
 */
export async function countStates(db: Executor): Promise<Readonly<Record<CountedState, StateCount>>> {
  await db.executeSql(beforeCounts);
  const row = (await db.executeSql<Record<CountedState | 'waiting', number>>(stateCountsSql)).rows[0]!;
  const isMore = row.waiting > mostCounted;
  const alone = (n: number): StateCount => ({ count: Math.min(n, mostCounted), atLeast: n > mostCounted });
  const part = (n: number): StateCount => ({ count: Math.min(n, mostCounted), atLeast: isMore });
  return {
    pending: part(row.pending),
    scheduled: part(row.scheduled),
    failed: part(row.failed),
    sending: alone(row.sending),
    dead: alone(row.dead),
    cancelled: alone(row.cancelled),
    delivered: { count: row.delivered, atLeast: false },
  };
}
