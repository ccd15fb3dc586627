// Order keys (invariant K): which messages block theirs, and keys that a commit could not advance. It had another isolation level than read committed,
// or somebody was changing the message that is next. The sweep and drains advance these; all others the triggers of sql/0010_order.sql.

import type { Executor } from '../db/executor.ts';
import { numberOf } from '../db/values.ts';

/** Condition on a row of messages: it is dead, and messages with its order key wait for a person. @param m the row's alias, with a dot */
export const blocksKey = (m = ''): string => `${m}dead_at is not null and ${m}order_due is not null`;

/** SQL expression: whether there are such keys. */
export const hasLateOrders = `exists (select from waybill.outbox_order_changes where is_late)`;

/** Values: how many transactions. One call takes all locks, in one order, so that it does not deadlock with commits. */
export const advanceOrdersSql = `
  select waybill.outbox_order_advance(array_agg(xact))::text as done, count(*)::text as n from (
    select distinct xact from waybill.outbox_order_changes where is_late order by xact limit $1) late having count(*) > 0`;

/** @returns how many transactions */
export async function advanceOrders(db: Executor, limit: number): Promise<number> {
  const [row] = (await db.executeSql<{ n: unknown }>(advanceOrdersSql, [limit])).rows;
  return row ? numberOf(row.n) : 0;
}
