import fc from 'fast-check';
import { pino } from 'pino';
import { Counter, Histogram, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { createMetrics } from '../../src/metrics/catalogue.ts';
import type { AttemptEnd } from '../../src/metrics/attempt-end.ts';
import { createEvents } from '../../src/metrics/events.ts';
import { createTally } from '../../src/metrics/tally.ts';

const labelNames = ['kind', 'queue'] as const;
const upperBounds = [0.001, 0.005, 0.01, 0.5, 1, 60];

/** The same metrics twice: tallies, and prom-client's own. */
function both() {
  const ours = { registry: new Registry() };
  const theirs = { registers: [new Registry()] };
  const counter = { name: 'a_total', help: 'Some\\thing', labelNames: [...labelNames] };
  const histogram = { name: 'b_seconds', help: 'A "thing"\nof two lines', labelNames: [...labelNames] };
  const bare = { name: 'c_seconds', help: 'Without labels' };
  return {
    ours: {
      ...ours,
      counter: createTally({ ...counter, ...ours }),
      histogram: createTally({ ...histogram, upperBounds, ...ours }),
      bare: createTally({ ...bare, labelNames: [], upperBounds, ...ours }),
    },
    theirs: {
      registry: theirs.registers[0]!,
      counter: new Counter({ ...counter, ...theirs }),
      histogram: new Histogram({ ...histogram, buckets: upperBounds, ...theirs }),
      bare: new Histogram({ ...bare, buckets: upperBounds, ...theirs }),
    },
  };
}

/** As `fleet.ts` reads them. */
async function samples(registry: Registry) {
  const metrics = await registry.getMetricsAsJSON();
  return metrics.map(({ name, help, type, values }) => {
    const lines = values.map((one) => {
      const { labels, value, metricName = name } = one as typeof one & { metricName?: string };
      return { labels, value, metricName };
    });
    return { name, help, type: String(type), lines };
  });
}

const text = fc.constantFrom('job', 'email', 'a"b\\c\nd', '', 'toString', '7');
const labels = fc.record({ kind: text, queue: text });
/** Edges, what is a little beside them, and anything else. */
const seconds = fc.oneof(
  fc.constantFrom(
    ...upperBounds,
    ...upperBounds.flatMap((edge) => [edge * (1 + 1e-15), edge * (1 - 1e-15)]),
    0,
  ),
  fc.double({ min: 0, max: 1e9, noNaN: true }),
);
const observation = fc.record({
  metric: fc.constantFrom('counter', 'histogram', 'bare', 'zero'),
  labels,
  seconds,
});

describe('a tally', () => {
  it('shows what prom-client’s own counter and histogram show, whatever is counted', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(observation, { maxLength: 60 }), async (observations) => {
        const { ours, theirs } = both();
        const begun = new Set<string>();
        for (const { metric, labels: of, seconds: value } of observations) {
          if (metric === 'counter') {
            ours.counter.series(of).add(value);
            theirs.counter.inc(of, value);
          } else if (metric === 'bare') {
            ours.bare.series({}).add(value);
            theirs.bare.observe(value);
          } else if (metric === 'histogram') {
            ours.histogram.series(of).add(value);
            theirs.histogram.observe(of, value);
            begun.add(JSON.stringify([of.kind, of.queue]));
          } else {
            ours.counter.series(of);
            theirs.counter.inc(of, 0);
            ours.histogram.series(of);
            if (!begun.has(JSON.stringify([of.kind, of.queue]))) theirs.histogram.zero(of); // theirs begins anew
          }
        }
        expect(await ours.registry.metrics()).toBe(await theirs.registry.metrics());
        expect(await samples(ours.registry)).toEqual(await samples(theirs.registry));
      }),
    );
  });

  it('keeps one series for the same labels, whoever asks', async () => {
    const { ours } = both();
    const [one, two] = [
      ours.counter.series({ kind: 'job', queue: 'q' }),
      ours.counter.series({ queue: 'q', kind: 'job' }),
    ];
    one.add(1);
    two.add(0.5);
    expect(await ours.registry.metrics()).toContain('a_total{kind="job",queue="q"} 1.5\n');
  });

  it('refuses what would spoil its sum, and counts nothing of it', async () => {
    const { ours } = both();
    const counter = ours.counter.series({ kind: 'job', queue: 'q' });
    for (const value of [-1, Number.NaN, Infinity]) expect(() => counter.add(value)).toThrow(RangeError);
    for (const value of [Number.NaN, Infinity, -Infinity])
      expect(() => ours.bare.series({}).add(value)).toThrow(RangeError);
    const shown = await ours.registry.metrics();
    expect(shown).toContain('a_total{kind="job",queue="q"} 0');
    expect(shown).toContain('c_seconds_count 0');
    expect(shown).toContain('c_seconds_sum 0');
  });
});

describe('attempts', () => {
  const end = fc.record({
    kind: fc.constantFrom('job', 'email'),
    queue: fc.constantFrom('jobs', 'email', 'bulk'),
    outcome: fc.constantFrom('delivered', 'retried', 'dead', 'released'),
    seconds,
    endToEndSeconds: seconds,
  });

  it('are counted under the labels of their queue, kind and outcome', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(end, { maxLength: 40 }), async (ends) => {
        const metrics = createMetrics({ version: 'x' });
        const events = createEvents(pino({ level: 'silent' }), metrics);
        for (const { kind, queue, outcome, seconds: took, endToEndSeconds } of ends) {
          const about = { id: 'm', kind, name: 'n', queue, attempt: 1, maxAttempts: 5 };
          const none = { deliveryKey: null, requestId: null, traceparent: null };
          const cause = outcome === 'dead' ? 'permanent' : null;
          const told = { error: null, nextAttemptInMs: null, cause } satisfies Partial<AttemptEnd>;
          const waited = outcome === 'delivered' ? endToEndSeconds : null;
          events.attempted({
            message: { ...about, ...none },
            outcome,
            seconds: took,
            endToEndSeconds: waited,
            ...told,
          });
        }
        const figures = (await samples(metrics.registry)).flatMap(({ lines }) => lines);
        const figure = (name: string, of: Record<string, string>): number =>
          figures.find((one) => one.metricName === name && match(one.labels, of))?.value ?? 0;
        for (const { kind, queue, outcome } of ends) {
          const same = ends.filter((one) => one.kind === kind && one.outcome === outcome);
          const here = same.filter((one) => one.queue === queue);
          const delivered = ends.filter((one) => one.kind === kind && one.outcome === 'delivered');
          expect(figure('waybill_deliveries_total', { kind, queue, outcome })).toBe(here.length);
          expect(figure('waybill_delivery_seconds_count', { kind, outcome })).toBe(same.length);
          expect(figure('waybill_delivery_seconds_sum', { kind, outcome })).toBe(total(same));
          expect(figure('waybill_slot_seconds_total', { queue })).toBe(
            total(ends.filter((one) => one.queue === queue)),
          );
          expect(figure('waybill_end_to_end_seconds_count', { kind })).toBe(delivered.length);
          expect(figure('waybill_end_to_end_seconds_sum', { kind })).toBe(
            total(delivered.map((one) => ({ seconds: one.endToEndSeconds }))),
          );
        }
      }),
    );
  });
});

function total(ends: readonly { readonly seconds: number }[]): number {
  return ends.reduce((sum, one) => sum + one.seconds, 0);
}

function match(some: Partial<Record<string, string | number>>, others: Record<string, string>): boolean {
  const names = Object.keys(others);
  return Object.keys(some).length === names.length && names.every((name) => some[name] === others[name]);
}
