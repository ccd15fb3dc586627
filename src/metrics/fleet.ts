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
const patienceMs: Milliseconds = 4_000;

/** A look at the heartbeats, with each scrape. */
const standstillMs: Milliseconds = 1_000;

export const addSql = `
  insert into waybill.counters (name, labels, value)
  select name, labels, value from unnest($1::text[], $2::jsonb[], $3::float8[]) as c(name, labels, value) order by name, labels
  on conflict (name, labels) do update set value = waybill.counters.value + excluded.value where excluded.value <> 0`;

export function createFleetFigures(db: Executor, metrics: Metrics, clock: Clock): FleetFigures {
  const flushed = new Map<string, number>();
  let cached: { readonly text: string; readonly freshUntil: number } | undefined;
  let reading: Promise<string> | undefined;
  let flushing: Promise<void> = Promise.resolve();

  async function addNew(): Promise<void> {
    const fresh = (await samplesOf(metrics)).flatMap((sample) => {
      const key = keyOf(sample);
      const before = flushed.get(key);
      const delta = sample.value - (before ?? 0);
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

  async function read(): Promise<string> {
    const { rows } = await db.executeSql<Sample>(
      'select name, labels, value from waybill.counters order by name, labels',
    );
    const described = await metrics.registry.getMetricsAsJSON();
    const counted = described.filter((metric) => metrics.counted.some((one) => nameOf(one) === metric.name));
    return counterText(counted, rows) + (await fleetGauges(db));
  }

  /** Scrapes that come meanwhile share the reading: a slow database is asked once. */
  function readShared(): Promise<string> {
    const began = clock.now();
    reading ??= read()
      .then((text) => {
        const now = clock.now();
        cached = {
          text,
          freshUntil: now + Math.min(longestCacheMs, Math.max(cacheMs, cacheTimes * (now - began))),
        };
        return text;
      })
      .finally(() => {
        reading = undefined;
      });
    return reading;
  }

  return {
    flush() {
      flushing = flushing.catch(() => undefined).then(addNew); // one after the other: a delta is added once
      return flushing;
    },
    async render() {
      const still = await within(standstillMs, standstillGauges(db)).catch(() => '');
      if (cached && clock.now() < cached.freshUntil) return cached.text + still + staleness(0);
      try {
        return (await within(patienceMs, readShared())) + still + staleness(0);
      } catch {
        return (cached?.text ?? '') + still + staleness(1); // the gauge tells; the scrape itself must not fail
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
