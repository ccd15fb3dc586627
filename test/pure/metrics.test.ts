// The catalogue of metrics, the log and the figures of the fleet. Real: all of src/metrics. Doubled: the database, the stream of the log, time.

import { Writable } from 'node:stream';
import { pino } from 'pino';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Executor } from '../../src/db/executor.ts';
import { createMetrics } from '../../src/metrics/catalogue.ts';
import type { AttemptEnd } from '../../src/metrics/attempt-end.ts';
import { createEvents } from '../../src/metrics/events.ts';
import { createFleetFigures } from '../../src/metrics/fleet.ts';
import { createLog, createTimestamp, errorFacts } from '../../src/metrics/log.ts';

function told() {
  const lines: Record<string, unknown>[] = [];
  const stream = new Writable({
    write: (chunk: Buffer, _, done) => {
      lines.push(JSON.parse(chunk.toString()) as Record<string, unknown>);
      done();
    },
  });
  const metrics = createMetrics({ version: '1.2.3' });
  const events = createEvents(pino({ level: 'debug' }, stream), metrics);
  return { lines, metrics, events, text: () => metrics.registry.metrics() };
}

const message = {
  id: 'm',
  kind: 'job',
  name: 'n',
  queue: 'jobs',
  attempt: 2,
  maxAttempts: 5,
  deliveryKey: null,
  requestId: 'r',
  traceparent: null,
};
const end = (outcome: AttemptEnd['outcome']): AttemptEnd => ({
  message,
  outcome,
  seconds: 0.2,
  endToEndSeconds: outcome === 'delivered' ? 1.5 : null,
  error: outcome === 'delivered' ? null : 'refused',
  nextAttemptInMs: outcome === 'retried' ? 700 : null,
  cause: outcome === 'dead' ? 'exhausted' : null,
});

it('the first hundred cron jobs have labels of their own, the others share one', async () => {
  const { events, metrics } = told();
  for (let i = 0; i < 150; i++) events.cronEnded(`job-${i}`, 'succeeded', 1);
  const { values } = await metrics.cronTicks.get();
  expect(values).toHaveLength(101);
  expect(values.find(({ labels }) => labels.job === 'other')?.value).toBe(50);
});

it('a step of a loop that failed is counted, and named in the log', async () => {
  const { events, metrics, lines } = told();
  events.loopFailed('relay', new Error('no tea'));
  expect((await metrics.loopErrors.get()).values).toMatchObject([{ labels: { loop: 'relay' }, value: 1 }]);
  expect(lines).toMatchObject([{ level: 50, msg: 'the relay loop failed a step, backing off' }]);
});

it('lines of a handler lose their secrets, and keep the addresses that it logs', () => {
  const log = createLog({ level: 'info', role: 'jobs' });
  const lines: string[] = [];
  const stream = (log as unknown as Record<symbol, { write(line: string): void }>)[pino.symbols.streamSym]!;
  stream.write = (line) => void lines.push(line);
  log.info({ to: 'ann@example.test', url: 'postgres://me:hunter2@db/x' }, 'with postgres://me:hunter2@db/x');
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('ann@example.test');
  expect(lines[0]).not.toContain('hunter2');
});

describe('the catalogue', () => {
  it('has the metrics of a process that dashboards rely on, each with its labels', async () => {
    const { metrics } = told();
    const labels = metrics.counted.map(
      (metric) => metric as unknown as { name: string; labelNames: string[] },
    );
    expect(Object.fromEntries(labels.map((metric) => [metric.name, metric.labelNames]))).toMatchObject({
      waybill_relay_moved_total: ['queue'],
      waybill_relay_lag_seconds: [],
      waybill_deliveries_total: ['kind', 'queue', 'outcome'],
      waybill_delivery_seconds: ['kind', 'outcome'],
      waybill_end_to_end_seconds: ['kind'],
      waybill_claims_expired_total: ['queue'],
      waybill_claims_rejected_total: ['queue', 'when'],
      waybill_dead_letters_total: ['kind', 'queue', 'cause'],
      waybill_email_attempts_total: ['provider', 'outcome'],
      waybill_pruned_total: ['status'],
      waybill_cron_ticks_total: ['job', 'result'],
      waybill_cron_lag_seconds: ['job'],
    });
    expect(await metrics.registry.metrics()).toContain('waybill_build_info{version="1.2.3"} 1');
  });

  it('is a registry of its own each time', async () => {
    const [one, two] = [told(), told()];
    one.metrics.pruned.inc({ status: 'dead' });
    expect(await two.text()).not.toContain('waybill_pruned_total{status="dead"}');
  });
});

describe('an event', () => {
  it.each([
    ['delivered', 'info'],
    ['retried', 'warn'],
    ['dead', 'error'],
    ['released', 'info'],
  ] as const)('attempted: %s counts and is told as %s', async (outcome, level) => {
    const { events, lines, text } = told();
    events.attempted(end(outcome));
    const figures = await text();
    expect(figures).toContain(`waybill_deliveries_total{kind="job",queue="jobs",outcome="${outcome}"} 1`);
    expect(figures).toContain(`waybill_delivery_seconds_count{kind="job",outcome="${outcome}"} 1`);
    const endToEnd = figures.includes('waybill_end_to_end_seconds_count{kind="job"} 1');
    expect(endToEnd).toBe(outcome === 'delivered');
    const dead = figures.includes('waybill_dead_letters_total{kind="job",queue="jobs",cause="exhausted"} 1');
    expect(dead).toBe(outcome === 'dead');
    expect(lines).toMatchObject([
      {
        level: pino.levels.values[level],
        message: 'm',
        name: 'n',
        attempt: 2,
        maxAttempts: 5,
        requestId: 'r',
      },
    ]);
  });

  it('of a lease that ran out counts a dead letter only when no attempt is left', async () => {
    const { events, text } = told();
    events.expired({ queue: 'jobs', kind: 'job', status: 'failed', cause: null });
    expect(await text()).not.toContain('waybill_dead_letters_total{');
    events.expired({ queue: 'jobs', kind: 'job', status: 'dead', cause: 'expired' });
    expect(await text()).toContain('waybill_claims_expired_total{queue="jobs"} 2');
    expect(await text()).toContain('waybill_dead_letters_total{kind="job",queue="jobs",cause="expired"} 1');
  });

  it('of the relay and of stale claims counts by queue', async () => {
    const { events, text, lines } = told();
    events.relayed('jobs', 3, 1);
    expect(lines).toMatchObject([{ queue: 'jobs', messages: 3, wakeUps: 1 }]);
    events.rejected({ id: 'm', queue: 'jobs', when: 'after', reason: 'stale' });
    expect(lines).toContainEqual(
      expect.objectContaining({ msg: 'a stale claim was refused', message: 'm', when: 'after' }),
    );
    const figures = await text();
    expect(figures).toContain('waybill_relay_moved_total{queue="jobs"} 3');
    expect(figures).toContain('waybill_relay_lag_seconds_count 0');
    expect(figures).toContain('waybill_claims_rejected_total{queue="jobs",when="after"} 1');
  });

  it('of a claim counts how late each message is, and by queue those that no wake-up had announced', async () => {
    const { events, text } = told();
    events.claimed('jobs', [0.002, 0.2, Number.NaN], true);
    events.claimed('jobs', [7, 7], false);
    const figures = await text();
    expect(figures).toContain('waybill_relay_lag_seconds_count 5');
    expect(figures).toContain('waybill_relay_lag_seconds_sum 14.202');
    expect(figures).toContain('waybill_claims_unannounced_total{queue="jobs"} 2');
  });

  it('makes no series without end of queues that rows may name', async () => {
    const { events, metrics } = told();
    for (let i = 0; i < 300; i++) events.relayed(`tenant-${i}`, 1, 1);
    events.relayed('tenant-0', 1, 1);
    const { values } = await metrics.relayMoved.get();
    const count = (queue: string) => values.find(({ labels }) => labels.queue === queue)?.value;
    expect([values.length, count('tenant-0'), count('other')]).toEqual([101, 2, 200]);
  });

  it('of a failed step tells the error without what its properties hold', () => {
    const error = Object.assign(new Error('no'), { code: '28P01', config: { password: 'secret' } });
    expect(errorFacts(error)).toMatchObject({ name: 'Error', message: 'no (28P01)', code: '28P01' });
    expect(JSON.stringify(errorFacts(error))).not.toContain('secret');
    expect(errorFacts('a text')).toEqual({ message: 'a text' });
  });
});

describe('the time of a line', () => {
  afterEach(() => void vi.useRealTimers());

  it('is that of its own millisecond, whether the clock stands, goes on or is set back', () => {
    vi.useFakeTimers();
    const timestamp = createTimestamp();
    for (const ms of [0, 0, 1, 86_400_000, 999, 999, 0]) {
      vi.setSystemTime(ms);
      expect(JSON.parse(`{"level":"info"${timestamp()}}`)).toEqual({
        level: 'info',
        time: new Date(ms).toISOString(),
      });
    }
  });
});

describe('the figures of the fleet', () => {
  afterEach(() => void vi.useRealTimers());

  /** A database that answers, or never does. */
  function database() {
    const state = { hangs: false, asked: 0 };
    const never = new Promise<never>(() => undefined);
    const db: Executor = {
      executeSql: () => {
        state.asked += 1;
        return state.hangs ? never : Promise.resolve({ rows: [] });
      },
    };
    return { state, db };
  }

  it('are the last ones within a scrape’s patience when the database hangs', async () => {
    vi.useFakeTimers();
    let now = 0;
    const { state, db } = database();
    const figures = createFleetFigures(db, createMetrics({ version: 'x' }), { now: () => now });
    const before = await figures.render();
    expect(before).toContain('waybill_scrape_stale 0');
    state.hangs = true;
    now = 10_000;
    const scrape = figures.render();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await scrape).toBe(before.replace('waybill_scrape_stale 0', 'waybill_scrape_stale 1'));
  });

  it('that take long to read are read less often, so that reading takes a twentieth of the time, and once a minute in any case', async () => {
    let now = 0;
    let takes = 0;
    let asked = 0;
    const db: Executor = {
      executeSql: () => {
        asked += 1;
        now += takes / 3; // three statements for each reading
        return Promise.resolve({ rows: [] });
      },
    };
    const figures = createFleetFigures(db, createMetrics({ version: 'x' }), { now: () => now });
    for (const [ms, fresh] of [
      [1, 2_000],
      [500, 10_000],
      [3_500, 60_000],
    ] as const) {
      takes = ms;
      now += 100_000;
      await figures.render();
      const once = asked;
      now += fresh - 1;
      await figures.render();
      expect(asked).toBe(once);
      now += 1;
      await figures.render();
      expect(asked).toBe(once + 3);
    }
  });

  it('ask once for all who ask at the same time, and not again at once', async () => {
    const { state, db } = database();
    const figures = createFleetFigures(db, createMetrics({ version: 'x' }), { now: () => 0 });
    await figures.render();
    const once = state.asked;
    await figures.render();
    expect(state.asked).toBe(once);
    const others = database();
    const fresh = createFleetFigures(others.db, createMetrics({ version: 'x' }), { now: () => 0 });
    await Promise.all([fresh.render(), fresh.render(), fresh.render()]);
    expect(others.state.asked).toBe(once);
  });
});
