// Sums of each minute, for bars without Prometheus: recorded, delivered, retried and dead, and how first attempts ended, by queue. A relay takes them
// once a minute: the ends from the audit counters, what was recorded from the ids of messages, which are in the order of time.

import type { Executor } from '../db/executor.ts';
import type { Milliseconds } from '../ports.ts';
import { WaybillError } from '../errors.ts';
import { nearest } from '../nearest.ts';

/** `first_delivered` and `first_failed`: messages whose first attempt delivered them, or failed. Both are in the other sums, too. */
export const seriesNames = [
  'recorded',
  'delivered',
  'retried',
  'dead',
  'first_delivered',
  'first_failed',
] as const;
export type SeriesName = (typeof seriesNames)[number];

export const seriesWindows = ['1h', '24h'] as const;
export type SeriesWindow = (typeof seriesWindows)[number];

const windows = { '1h': { seconds: 3_600, step: 60 }, '24h': { seconds: 86_400, step: 900 } } as const;

/** As many queues as have labels in the metrics; the others are `other`. */
const most = 100;
const label = (queue: string): string =>
  `case when ${queue} in (select name from waybill.queues order by name limit ${most}) then ${queue} else 'other' end`;

const firstId = (time: string): string =>
  `(lpad(to_hex((extract(epoch from ${time}) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid`;

/**
 * Takes the sums of the minute that has ended, unless another relay did. Transactions commit a little after they made their ids, so what was recorded is
 * counted a minute later. The first time, the ends of all earlier times become the base. No row: the minute was taken.
 */
export const takeMinuteSql = `
  with minute as (
    insert into waybill.series_minutes (at) values (date_trunc('minute', now()) - interval '1 minute') on conflict do nothing returning at),
  sums as materialized (
    select ${label('queue')} as queue, e.name, sum(e.n)::bigint as total
      from waybill.outbox_audit a cross join lateral (values
        (case outcome when 'delivered' then 'delivered' when 'retried' then 'retried' when 'expired' then 'retried' else 'dead' end, a.n),
        (case outcome when 'delivered' then 'first_delivered' else 'first_failed' end, a.recorded)) e(name, n)
     where outcome = any('{delivered,retried,expired,dead,exhausted,discarded}') and exists (select from minute) group by 1, 2),
  based as (
    insert into waybill.series_totals as t (queue, name, total) select * from sums
    on conflict (queue, name) do update set total = excluded.total where t.total <> excluded.total),
  ends as (
    insert into waybill.series (at, queue, name, n)
    select minute.at, s.queue, s.name, s.total - coalesce(t.total, 0)
      from sums s cross join minute left join waybill.series_totals t on t.queue = s.queue and t.name = s.name
     where s.total > coalesce(t.total, 0) and exists (select from waybill.series_minutes)),
  recorded as (
    insert into waybill.series (at, queue, name, n)
    select r.at, r.queue, 'recorded', count(*) from (
      select minute.at - interval '1 minute' as at, ${label('m.queue')} as queue from minute cross join lateral (
        select queue from waybill.outbox_messages
         where id >= ${firstId(`(minute.at - interval '1 minute')`)} and id < ${firstId('minute.at')}) m) r
     group by 1, 2)
  select at from minute`;

/** Values: retention in ms. */
export const pruneSeriesSql = `
  with minutes as (delete from waybill.series_minutes where at < now() - $1 * interval '1 millisecond'),
  deploys as (delete from waybill.deploys where at < now() - $1 * interval '1 millisecond')
  delete from waybill.series where at < now() - $1 * interval '1 millisecond'`;

const retentionMs: Milliseconds = 7 * 86_400_000;

/** @returns milliseconds until the next minute has ended, by the database's clock */
export async function takeMinute(db: Executor): Promise<Milliseconds> {
  const taken = (await db.executeSql(takeMinuteSql)).rows.length > 0;
  if (taken) await db.executeSql(pruneSeriesSql, [retentionMs]);
  const sql = `select (extract(epoch from date_trunc('minute', now()) + interval '1 minute' - clock_timestamp()) * 1000)::float8 as ms`;
  const [row] = (await db.executeSql<{ ms: number }>(sql)).rows;
  return Math.max(0, row!.ms) + 250; // so that a clock that is a little behind asks once
}

export type Series = {
  readonly window: SeriesWindow;
  readonly stepSeconds: number;
  /** Start of the first step and end of the last. */
  readonly from: Date;
  readonly to: Date;
  /**
   * One value for each step, by name and queue. Null: no relay ran in that time; the step after it has the ends of the gap, and what was recorded in the gap
   * is not counted.
   */
  readonly series: readonly {
    readonly name: SeriesName;
    readonly queue: string;
    readonly values: readonly (number | null)[];
  }[];
};

/** Values: seconds of the window, seconds of a step, name or null. The first kind of row has the ends of the window, the second the observed steps. */
export const seriesSql = `
  with span as (select date_trunc('minute', now()) - $1::float8 * interval '1 second' as start, date_trunc('minute', now()) as stop)
  select null as name, null as queue, floor(extract(epoch from at - start) / $2::float8)::int as step, 0::float8 as n, start, stop
    from span left join waybill.series_minutes on at >= start and at < stop
  union
  select name, queue, floor(extract(epoch from at - start) / $2::float8)::int, sum(n)::float8, start, stop
    from span join waybill.series on at >= start and at < stop where $3::text is null or name = $3 group by name, queue, 3, start, stop`;

type Row = {
  readonly name: SeriesName | null;
  readonly queue: string | null;
  readonly step: number | null;
  readonly n: number;
  readonly start: Date;
  readonly stop: Date;
};

/** @param name default: all */
export async function readSeries(db: Executor, window: SeriesWindow, name?: SeriesName): Promise<Series> {
  const { seconds, step: stepSeconds } = windows[window];
  const { rows } = await db.executeSql<Row>(seriesSql, [seconds, stepSeconds, name ?? null]);
  const seen = new Set(rows.filter((row) => row.name === null).map(({ step }) => step));
  const empty = Array.from({ length: seconds / stepSeconds }, (_, step) => (seen.has(step) ? 0 : null));
  const keyOf = ({ name: its, queue }: Row): string => `${seriesNames.indexOf(its!)} ${queue}`;
  const groups = Map.groupBy(
    rows.filter((row) => row.name !== null),
    keyOf,
  );
  const series = [...groups]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, its]) => {
      const values: (number | null)[] = [...empty];
      for (const { step, n } of its) values[step!] = n;
      return { name: its[0]!.name!, queue: its[0]!.queue!, values };
    });
  return { window, stepSeconds, from: rows[0]!.start, to: rows[0]!.stop, series };
}

/** @throws WaybillError `invalid_series` */
export function parseSeries(given: {
  readonly name?: string | undefined;
  readonly window?: string | undefined;
}): { readonly window: SeriesWindow; readonly name: SeriesName | undefined } {
  const { name, window = '1h' } = given;
  return {
    window: word('window', seriesWindows, window),
    name: name === undefined ? undefined : word('name', seriesNames, name),
  };
}

function word<T extends string>(part: string, words: readonly T[], text: string): T {
  const found = words.find((one) => one === text);
  if (found !== undefined) return found;
  const meant = nearest(text, words);
  throw new WaybillError(
    'invalid_series',
    `${JSON.stringify(text.slice(0, 80))} is no ${part} of a series: ${meant ? `did you mean ${meant}? ` : ''}There are ${words.join(', ')}`,
  );
}
