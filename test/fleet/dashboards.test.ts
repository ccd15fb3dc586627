// Every panel and every rule against a real Prometheus that scrapes a real fleet under load.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import app from '../../app/index.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { manifestOf, stageManifest } from '../../src/cron/manifest.ts';
import { limitQueue } from '../../src/operate/limits.ts';
import { registerProviders } from '../../src/queues/providers.ts';
import { rateOf } from '../../src/queues/limits.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { marks, queries } from '../support/dashboards.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testFleet, type TestFleet } from '../support/fleet.ts';
import { startPrometheus, type Prometheus } from '../support/prometheus.ts';
import { isMissing, prometheusPath, promtool, promtoolPath } from '../support/promtool.ts';
import { until } from '../support/wait.ts';

const missing = isMissing(prometheusPath, 'prometheus') || isMissing(promtoolPath, 'promtool');

describe.skipIf(missing)('dashboards and rules', () => {
  let database: TestDatabase;
  let fleet: TestFleet;
  let prometheus: Prometheus | undefined;
  let web: string;
  const load = { wanted: true, running: Promise.resolve() };

  beforeAll(async () => {
    database = await testDatabase();
    await stageManifest(database.db, manifestOf(app));
    await limitQueue(database.db, 'email', { rate: rateOf(1_000) }, { by: 'test', reason: null });
    const port = await freePort();
    web = `http://127.0.0.1:${port}`;
    fleet = testFleet({ DATABASE_URL: database.url, WAYBILL_API_KEY: 'key', WAYBILL_POLL_INTERVAL: '200ms' });
    await Promise.all([
      fleet.start('web', { PORT: String(port) }),
      ...(['relay', 'email', 'jobs', 'scheduler'] as const).map((role) => fleet.start(role)),
    ]);
    await until(async () => (await fetch(`${web}/readyz`)).ok, { what: 'web to be ready' });
    // As a fleet with several providers would, which this one is not.
    await registerProviders(database.db, ['resend', 'smtp']);
    prometheus = await startPrometheus(`127.0.0.1:${port}`);
    load.running = keepOrdering();
    await until(async () => (await data('waybill_cron_lag_seconds_count')).length > 0, {
      what: 'the first scrape of a job of cron',
    });
    await missATick();
  }, 120_000);

  afterAll(async () => {
    load.wanted = false;
    await load.running;
    await fleet.end();
    await prometheus?.end();
    await database.end();
  });

  /** Orders until nobody wants more: each an email, an event, a listener's message and a job. Now and then a job that dies. */
  async function keepOrdering(): Promise<void> {
    const outbox = createPostgresOutbox(database.db);
    const items = [{ sku: 'tea', quantity: 2, unitPriceCents: 450 }];
    while (load.wanted) {
      const response = await fetch(`${web}/orders`, {
        method: 'POST',
        headers: { authorization: 'Bearer key', 'content-type': 'application/json' },
        body: JSON.stringify({ customerEmail: 'ann@customers.example', items }),
      });
      await response.text();
      await outbox.enqueue({ kind: 'job', name: 'count-order', queue: 'jobs', payload: { wrong: true } });
    }
  }

  /** As after an outage: the newest tick of the job is due. */
  async function missATick(): Promise<void> {
    await until(
      async () =>
        (
          await database.db.executeSql(
            `update waybill.cron_jobs set cursor_at = now() - interval '2 days', next_at = now() returning name`,
          )
        ).rows.length > 0,
      { what: 'the jobs of cron to be scheduled', timeoutMs: 30_000 },
    );
  }

  /** What `query` answers, without samples that are not a number: a quantile of nothing is no data. */
  async function data(expr: string): Promise<number[]> {
    const concrete = expr
      .replaceAll('$__rate_interval', '1m')
      .replaceAll('$job', 'waybill')
      .replaceAll('$database', '');
    return (await prometheus!.query(concrete))
      .map(({ value }) => Number(value[1]))
      .filter((value) => !Number.isNaN(value));
  }

  it('every panel’s query returns data', async () => {
    expect(queries.length).toBeGreaterThan(40);
    let empty: unknown[] = [];
    const full = until(
      async () => {
        const answers = await Promise.all(
          queries.map(async ({ where, expr }) => ({ where, expr, n: (await data(expr)).length })),
        );
        empty = answers.filter(({ n }) => n === 0);
        return empty.length === 0;
      },
      { timeoutMs: 50_000 },
    );
    await full.catch(() => undefined);
    expect(empty).toEqual([]);
  });

  it('the query that marks deploys is understood', async () => {
    for (const expr of marks) expect(await data(expr)).toBeInstanceOf(Array);
  });

  it('the panels that matter most show what happens', async () => {
    const positive = (expr: string): Promise<unknown> =>
      until(async () => (await data(expr)).some((value) => value > 0), { what: expr });
    await positive('rate(waybill_deliveries_total{outcome="delivered", kind="email"}[1m])');
    await positive('rate(waybill_deliveries_total{outcome="dead", kind="job"}[1m])');
    await positive('waybill_workers_recommended{queue="email"}');
    await positive('waybill_cron_ticks_total{exported_job="sum-day", result="dispatched"}');
    expect(await data('count(waybill_processes == 1)')).toEqual([5]);
  });

  it('every rule is evaluated without an error, and the objective has figures', async () => {
    type Rule = { name: string; health: string; lastError?: string };
    const { groups } = await until(
      async () => {
        const answer = await prometheus!.ask<{ groups: { rules: Rule[] }[] }>('/api/v1/rules');
        return (
          answer.groups.flatMap(({ rules }) => rules).every(({ health }) => health !== 'unknown') && answer
        );
      },
      { what: 'every rule to be evaluated' },
    );
    const rules = groups.flatMap((group) => group.rules);
    expect(rules.length).toBeGreaterThan(30);
    expect(rules.filter(({ health }) => health !== 'ok')).toEqual([]);
    const [ratio] = await until(
      async () => {
        const values = await data('waybill:error_ratio:rate5m');
        return values.length === 1 && values;
      },
      { what: 'the error ratio' },
    );
    expect(ratio).toBeGreaterThan(0); // of five messages one dies
    expect(ratio).toBeLessThan(1);
    await until(
      async () => (await data('ALERTS{alertname="WaybillDeadLettersRising", kind="job"}')).length > 0,
      {
        what: 'the alert of dead letters',
      },
    );
  });

  it('the scrape of the fleet under load passes promtool check metrics', async () => {
    const text = await (await fetch(`${web}/metrics`)).text();
    expect(await promtool(['check', 'metrics'], text)).toEqual({ code: 0, said: '' });
  });
});
