// The figures of the whole fleet, through Postgres: on a PaaS nobody can scrape the workers. Each process adds what it counted since
// its last flush to rows that outlive it, so a sum never goes backwards; web reads the rows.

import type { Executor } from '../db/executor.ts';
import type { Clock, Milliseconds } from '../ports.ts';
import type { Metrics } from './catalogue.ts';
import { fleetGauges } from './gauges.ts';
import { standstillGauges } from './standstills.ts';
import { counterText, gaugeText, type Sample } from './text.ts';

export type FleetFigures = {
  /** Adds what this process counted since the last flush. What could not be added is added next time. */
  flush(): Promise<void>;
  /** The fleet's figures in Prometheus's text format. Served from a short cache; when the database does not answer, the last ones, and it says so. */
  render(): Promise<string>;
};

const cacheMs: Milliseconds = 2_000;
/** A long backlog takes long to count: reading takes a twentieth of the time at most, and figures are never older than a minute. */
const cacheTimes = 20;
const longestCacheMs: Milliseconds = 60_000;
/** Prometheus itself waits 10 s: a database that hangs must not take the last figures away as well. */
const readTimeoutMs: Milliseconds = 4_000;

/** A look at the heartbeats alone, when the rest did not come. */
const standstillMs: Milliseconds = 900;

type Figures = { readonly text: string; /** Who stands still. */ readonly still: string };

const endsName = 'waybill_deliveries_total';
/** As many queues as events tell apart. */
const most = 100;

/** What processes have flushed, and how attempts ended: counted by whoever settled them, so that no killed process takes any along. */
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

export function createFleetFigures(db: Executor, metrics: Metrics, clock: Clock): FleetFigures {
  const flushed = new Map<string, number>();
  let cached: (Figures & { readonly freshUntil: number }) | undefined;
  let reading: Promise<Figures> | undefined;
  let flushing: Promise<void> = Promise.resolve();

  async function addNew(): Promise<void> {
    const fresh = (await samplesOf(metrics)).flatMap((sample) => {
      const key = keyOf(sample);
      const before = flushed.get(key);
      // How attempts ended is counted where it is settled (src/outbox/settle.ts): of these series only the zeroes are told.
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

  /** Scrapes that come meanwhile share the reading: a slow database is asked once. */
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

  /** Where the outbox is locked, the heartbeats may answer. */
  async function lastFigures(): Promise<string> {
    const still = within(standstillMs, standstillGauges(db)).catch(() => cached?.still ?? '');
    return (cached?.text ?? '') + (await still) + staleness(1);
  }

  return {
    flush() {
      flushing = flushing.catch(() => undefined).then(addNew); // one after the other: a delta is added once
      return flushing;
    },
    async render() {
      if (cached && clock.now() < cached.freshUntil) return cached.text + cached.still + staleness(0);
      try {
        const { text, still } = await within(readTimeoutMs, readShared());
        return text + still + staleness(0);
      } catch {
        return lastFigures(); // the gauge tells; the scrape itself must not fail
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

/** A series has its labels in one order as long as its process lives. */
function keyOf({ name, labels }: Sample): string {
  return name + JSON.stringify(labels);
}
