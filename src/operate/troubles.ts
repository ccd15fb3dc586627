// What the alerts look at beside states and queues, in one statement whose parts are all bounded.

import type { Executor } from '../db/executor.ts';
import { blocksKey } from '../outbox/order.ts';
import { inFlight } from '../outbox/waiting.ts';

export type Troubles = {
  /** Messages that are dead since 24 h or less, counted up to 10,000. */
  readonly deadInDay: number;
  /** Messages that died in the last 15 minutes, without refused recipients; counted up to 1,000. */
  readonly deadLately: number;
  /** Order keys that a dead message blocks, by queue; the most first. */
  readonly blocked: readonly { readonly queue: string; readonly keys: number }[];
  /** How long the longest running attempt of a queue has run. */
  readonly running: readonly { readonly queue: string; readonly seconds: number }[];
  /** Cron jobs whose tick has been due for more than a minute, the latest first; 20 at most. */
  readonly overdue: readonly { readonly name: string; readonly seconds: number }[];
  /** Age of the oldest transaction of this database, other than this one. */
  readonly oldestTransactionSeconds: number;
};

export const mostDead = 10_000;
const mostLately = 1_000;
const mostBlocked = 1_000;

const list = (sql: string): string => `(select coalesce(json_agg(x), '[]') from (${sql}) x)`;

export const troublesSql = `
  select
    (select count(*)::int from (
      select from waybill.outbox_messages where dead_at > now() - interval '24 hours' limit ${mostDead + 1}) d) as "deadInDay",
    (select (count(*) filter (where dead_cause <> 'recipient'))::int from (
      select dead_cause from waybill.outbox_messages where dead_at > now() - interval '15 minutes' order by dead_at desc limit ${mostLately}) d) as "deadLately",
    ${list(`select queue, count(distinct order_key)::int as keys from (
      select queue, order_key from waybill.outbox_messages where ${blocksKey()} order by dead_at limit ${mostBlocked}) b group by queue order by 2 desc, 1`)} as blocked,
    ${list(`select queue, extract(epoch from now() - min(claimed_at))::float8 as seconds from waybill.outbox_messages
      where ${inFlight()} and status = 'sending' and isfinite(claimed_at) group by queue order by 2 desc, 1`)} as running,
    ${list(`select name, extract(epoch from now() - next_at)::float8 as seconds from waybill.cron_jobs
      where next_at < now() - interval '1 minute' order by next_at, name limit 20`)} as overdue,
    (select coalesce(extract(epoch from max(now() - xact_start)), 0)::float8 from pg_catalog.pg_stat_activity
      where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()) as "oldestTransactionSeconds"`;

export async function readTroubles(db: Executor): Promise<Troubles> {
  return (await db.executeSql<Troubles>(troublesSql)).rows[0]!;
}
