// What runs now, the longest first. Prefetched messages whose attempt has not begun are counted apart.

import type { Executor } from '../db/executor.ts';
import { inFlight } from '../outbox/waiting.ts';
import { pageSize } from './filter.ts';
import { type Texts } from './texts.ts';
import { runningSince, viewColumns, viewOf, type MessageView, type ViewRow } from './read.ts';

export type Running = {
  /** The longest running first. */
  readonly messages: readonly MessageView[];
  /** All that run, beyond the limit too. */
  readonly running: number;
  /** Claimed, and not begun. */
  readonly prefetched: number;
};

/** Value: limit. The fleet's slots bound how much is in flight. */
export const runningSql = `
  with flight as materialized (
    select id as flying, ${runningSince} as since from waybill.outbox_messages where ${inFlight()} and status = 'sending'),
  longest as materialized (select flying, since from flight where since is not null order by since, flying limit $1),
  counted as (
    select (count(*) filter (where since is not null))::int as running, (count(*) filter (where since is null))::int as prefetched from flight)
  select v.*, c.running, c.prefetched from counted c left join (
    select ${viewColumns}, since from waybill.outbox_messages join longest on flying = id where id = any(array(select flying from longest))) v on true
   order by v.since, v.id`;

type Row = ViewRow & Pick<Running, 'running' | 'prefetched'> & { readonly since: unknown };

/**
 * @param limit 1 … 500, default 100
 * @throws WaybillError `invalid_limit`
 */
export async function listRunning(db: Executor, limit?: Texts): Promise<Running> {
  const { rows } = await db.executeSql<Row>(runningSql, [pageSize(limit) ?? 100]);
  const { running = 0, prefetched = 0 } = rows[0] ?? {};
  const messages = rows
    .filter(({ id }) => id !== null)
    .map((row) => {
      const { running: _, prefetched: __, since: ___, ...message } = row;
      return viewOf(message);
    });
  return { messages, running, prefetched };
}
