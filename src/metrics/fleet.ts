// The figures of the whole fleet, kept in Postgres: on a PaaS the workers cannot be scraped. Each process adds its counts since the last flush to
// rows that outlive it, so a sum never decreases. web reads the rows.

import type { Executor } from '../db/executor.ts';
import type { Clock, Milliseconds } from '../ports.ts';
import type { Metrics } from './catalogue.ts';
import { fleetGauges } from './gauges.ts';
import { standstillGauges } from './standstills.ts';
import { counterText, gaugeText, type Sample } from './text.ts';

export type FleetFigures = {
  /** Adds the counts of this process since the last flush. After a failure they are added next time. */
  flush(): Promise<void>;
  /**
   * The fleet's figures in Prometheus's text format, from a short cache. When the database does not answer, these are the last ones, marked as stale.
   */
  render(): Promise<string>;
};

const cacheMs: Milliseconds = 2_000;
/** Counting a long backlog takes long. Reading takes at most a twentieth of the time, and figures are at most a minute old. */
const cacheTimes = 20;
const longestCacheMs: Milliseconds = 60_000;
/** Prometheus itself waits 10 s: when the database hangs, the last figures must still be served in time. */
const readTimeoutMs: Milliseconds = 4_000;

/** Time for reading only the heartbeats after the other figures failed. */
const standstillMs: Milliseconds = 900;

type Figures = {
  readonly text: string;
  /** The gauges of stalled and silent processes. */ readonly still: string;
};

const endsName = 'waybill_deliveries_total';
/** As many queues as in events.ts. */
const most = 100;

/** The counts that processes flushed, and the ends of attempts. These are counted by the settling statement, so a killed process loses none. */
export const countersSql = `
  with counted as (select * from waybill.outbox_audit where outcome = any('{delivered,retried,dead,released}')),
  queues as (select distinct queue from counted order by queue limit ${most}),
  ends as (
    select kind, case when queue in (select queue from queues) then queue else 'other' end as queue, outcome, sum(n) as n
      from counted group by 1, 2, 3)
  select name, labels, sum(value)::float8 as value from (
    select name, labels, value from waybill.counters
    union all
    select '${endsName}', jsonb_build_object('kind', kind, 'queue', queue, 'outcome', outcome), n from ends) c
   group by name, labels order by name, labels`;

export const addSql = `
  insert into waybill.counters (name, labels, value)
  select name, labels, value from unnest($1::text[], $2::jsonb[], $3::float8[]) as c(name, labels, value) order by name, labels
  on conflict (name, labels) do update set value = waybill.counters.value + excluded.value where excluded.value <> 0`;

// oxlint-disable-next-line max-lines-per-function -- methods over one scrape's cache
export function createFleetFigures(db: Executor, metrics: Metrics, clock: Clock): FleetFigures {
  const flushed = new Map<string, number>();
  let cached: (Figures & { readonly freshUntil: number }) | undefined;
  let reading: Promise<Figures> | undefined;
  let flushing: Promise<void> = Promise.resolve();

  async function addNew(): Promise<void> {
    const fresh = (await samplesOf(metrics)).flatMap((sample) => {
      const key = keyOf(sample);
      const before = flushed.get(key);
      // Ends of attempts are counted where they are settled (src/outbox/settle.ts), so only the zeroes of these series are written.
      const delta = sample.name === endsName ? 0 : sample.value - (before ?? 0);
      return delta > 0 || before === undefined ? [{ ...sample, key, delta }] : [];
    });
    if (fresh.length === 0) return;
    await db.executeSql(addSql, [
      fresh.map((sample) => sample.name),
      fresh.map((sample) => JSON.stringify(sample.labels)),
      fresh.map((sample) => sample.delta),
    ]);
    for (const { key, value } of fresh) flushed.set(key, value);
  }

  async function read(): Promise<Figures> {
    const { rows } = await db.executeSql<Sample>(countersSql);
    const described = await metrics.registry.getMetricsAsJSON();
    const counted = described.filter((metric) => metrics.counted.some((one) => nameOf(one) === metric.name));
    const text = counterText(counted, rows) + (await fleetGauges(db));
    return { text, still: await standstillGauges(db) };
  }

  /** Scrapes that come meanwhile share the result: a slow database is read once. */
  function readShared(): Promise<Figures> {
    const began = clock.now();
    reading ??= read()
      .then((figures) => {
        const now = clock.now();
        const freshMs = Math.min(longestCacheMs, Math.max(cacheMs, cacheTimes * (now - began)));
        cached = { ...figures, freshUntil: now + freshMs };
        return figures;
      })
      .finally(() => {
        reading = undefined;
      });
    return reading;
  }

  /** Where the outbox is locked, the heartbeats may still be readable. */
  async function lastFigures(): Promise<string> {
    const still = within(standstillMs, standstillGauges(db)).catch(() => cached?.still ?? '');
    return (cached?.text ?? '') + (await still) + staleness(1);
  }

  return {
    flush() {
      flushing = flushing.catch(() => undefined).then(addNew); // one after the other: each delta is added once
      return flushing;
    },
    async render() {
      if (cached && clock.now() < cached.freshUntil) return cached.text + cached.still + staleness(0);
      try {
        const { text, still } = await within(readTimeoutMs, readShared());
        return text + still + staleness(0);
      } catch {
        return lastFigures(); // the gauge shows it; the scrape itself must not fail
      }
    },
  };
}

function within<T>(ms: Milliseconds, answer: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  return Promise.race([answer, promise]).finally(() => clearTimeout(timer));
}

function staleness(value: 0 | 1): string {
  return gaugeText(
    'waybill_scrape_stale',
    '1 when the database did not answer and these are the last figures',
    [{ labels: {}, value }],
  );
}

function nameOf(metric: object): string {
  return (metric as { name: string }).name;
}

async function samplesOf(metrics: Metrics): Promise<Sample[]> {
  const all = await Promise.all(metrics.counted.map((metric) => metric.get()));
  return all.flatMap((metric) =>
    metric.values.map((value) => ({
      name: (value as { metricName?: string }).metricName ?? metric.name,
      labels: value.labels as Record<string, string | number>,
      value: value.value,
    })),
  );
}

/** A series keeps its labels in one order for the life of its process. */
function keyOf({ name, labels }: Sample): string {
  return name + JSON.stringify(labels);
}
