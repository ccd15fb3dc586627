// The messages that belong to one: its parent and children, and those of the same request, trace and delivery key.

import type { Executor } from '../db/executor.ts';
import { firstIdAt } from './filter.ts';
import { checkId, notFound, viewColumns, viewOf, type MessageView, type ViewRow } from './read.ts';

/** Messages of each relation at most. */
export const mostRelated = 50;

/** Children, and messages of the same request or trace, have no index: they are looked for among this many messages from the request on. */
const mostRead = 100_000;

/** How long before the message its request may have begun: a message that was recorded earlier is not looked for. */
const beforeMs = 3_600_000;

export type Related = {
  readonly parent: MessageView | null;
  /** Recorded by its delivery, oldest first, as in all these lists. */
  readonly children: readonly MessageView[];
  readonly sameRequest: readonly MessageView[];
  readonly sameTrace: readonly MessageView[];
  /** Of the same kind and name. */
  readonly sameKey: readonly MessageView[];
  /** Where children, request and trace were looked for. `reached`: there are more messages, which were not looked at. */
  readonly bound: { readonly from: Date; readonly messages: number; readonly reached: boolean };
};

type Relation = 'parent' | 'child' | 'request' | 'trace' | 'key';
type Row = ViewRow & { readonly relation: Relation };

const each = (relation: Relation, from: string): string =>
  `(select '${relation}' as relation, ${viewColumns} from ${from} order by id limit ${mostRelated})`;

const near = (relation: string): string =>
  `waybill.outbox_messages m where id = any(array(select id from near where ${relation}))`;

const sameKey = `waybill.outbox_messages m where id = any(array(
  select k.id from own cross join lateral waybill.search_keys(own_key, own_key || E'\\x01', 1000) as k(id))) and id <> $1::uuid
    and kind = (select own_kind from own) and name = (select own_name from own)`;

/** Values: the message's id, the first id to look at. */
export const relatedSql = `
  with own as materialized (
    select id as own_id, parent_id as own_parent, request_id as own_request, split_part(traceparent, '-', 2) as own_trace, kind as own_kind,
           name as own_name, coalesce(delivery_key, shared_key) as own_key
      from waybill.outbox_messages where id = $1::uuid),
  near as materialized (
    select * from (
      select n.id, n.parent_id = own.own_id as is_child, n.request_id = own.own_request as is_of_request,
             split_part(n.traceparent, '-', 2) = own.own_trace as is_of_trace
        from own cross join (
          select id, parent_id, request_id, traceparent from waybill.outbox_messages where id >= $2::uuid order by id limit ${mostRead}) n
       where n.id <> own.own_id offset 0) r
     where is_child or is_of_request or is_of_trace)
  ${each('parent', `waybill.outbox_messages m where id = (select own_parent from own)`)}
  union all ${each('child', near('is_child'))}
  union all ${each('request', near('is_of_request'))}
  union all ${each('trace', near('is_of_trace'))}
  union all ${each('key', sameKey)}`;

/** When the message or its parent was recorded, whichever was first. Values: id. */
const beganSql = `
  select least(date_part('epoch', m.created_at), (select date_part('epoch', p.created_at) from waybill.outbox_messages p where p.id = m.parent_id)) * 1000 as ms
    from waybill.outbox_messages m where m.id = $1::uuid`;

/** SQL may have written any time. */
const latest = Date.UTC(9999, 0);

/**
 * Up to 50 messages of each relation.
 * @throws WaybillError `invalid_id`, `not_found`
 */
export async function relatedMessages(db: Executor, id: string): Promise<Related> {
  checkId(id);
  const own = await db.executeSql<{ ms: number }>(beganSql, [id]);
  const from = new Date(Math.min(latest, Math.max(0, (own.rows[0]?.ms ?? notFound(id)) - beforeMs)));
  const first = firstIdAt(from.getTime());
  const { rows } = await db.executeSql<Row>(relatedSql, [id, first]);
  const of = (relation: Relation): MessageView[] =>
    rows.filter((row) => row.relation === relation).map(({ relation: _relation, ...row }) => viewOf(row));
  const beyond = await db.executeSql(
    `select from waybill.outbox_messages where id >= $1::uuid order by id offset ${mostRead} limit 1`,
    [first],
  );
  return {
    parent: of('parent')[0] ?? null,
    children: of('child'),
    sameRequest: of('request'),
    sameTrace: of('trace'),
    sameKey: of('key'),
    bound: { from, messages: mostRead, reached: beyond.rows.length > 0 },
  };
}
