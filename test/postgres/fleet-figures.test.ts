import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '../../src/db/pool.ts';
import { createMetrics } from '../../src/metrics/catalogue.ts';
import { createFleetFigures, type FleetFigures } from '../../src/metrics/fleet.ts';
import { hold, park } from '../../src/queues/park.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { pauseQueue, registerQueues } from '../../src/queues/queues.ts';
import { newId } from '../../src/message/id.ts';
import { beat, fleet, standstills } from '../../src/process/heartbeat.ts';
import { counts } from '../support/counts.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.end());

let now = 0;
const clock = { now: () => now };

function member(db = database.db) {
  const metrics = createMetrics({ version: '1.2.3' });
  return { metrics, figures: uncached(createFleetFigures(db, metrics, clock)) };
}

/** Every look is past the cache. */
function uncached(figures: FleetFigures): FleetFigures {
  return {
    ...figures,
    render() {
      now += 100_000;
      return figures.render();
    },
  };
}

function samples(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ]),
  );
}

/** Prometheus's text format 0.0.4, a line of it. */
const wellFormed =
  /^(?:# HELP \w+ .+|# TYPE \w+ (?:counter|gauge|histogram)|\w+(?:\{\w+="(?:[^"\\]|\\["\\n])*"(?:,\w+="(?:[^"\\]|\\["\\n])*")*\})? [0-9.e+-]+)$/;

/** Samples that do not stand under the TYPE of their metric. */
function strays(text: string): string[] {
  let metric = '';
  return text
    .trimEnd()
    .split('\n')
    .filter((line) => {
      metric = /^# TYPE (\w+)/.exec(line)?.[1] ?? metric;
      const name = /^\w+/.exec(line)?.[0];
      return name !== undefined && name.replace(/_(?:bucket|sum|count)$/, '') !== metric && name !== metric;
    });
}

describe('the figures of the fleet', () => {
  it('add up over processes and flushes, and outlive the processes', async () => {
    const [one, two] = [member(), member()];
    one.metrics.relayMoved.inc({ queue: 'jobs' }, 3);
    two.metrics.relayMoved.inc({ queue: 'jobs' }, 4);
    await Promise.all([one.figures.flush(), two.figures.flush()]);
    await one.figures.flush(); // nothing new
    one.metrics.relayMoved.inc({ queue: 'jobs' }, 1);
    await one.figures.flush();
    expect(samples(await member().figures.render()).get('waybill_relay_moved_total{queue="jobs"}')).toBe(8);
  });

  it('have each attempt and each observation once, whoever flushed how often', async () => {
    const [one, two] = [member(), member()];
    const labels = { queue: 'once' };
    const buckets = { kind: 'listener', outcome: 'retried' };
    for (const [who, times] of [
      [one, 2],
      [two, 3],
      [one, 1],
      [one, 0],
    ] as const) {
      for (let i = 0; i < times; i++) {
        who.metrics.slotSeconds.series(labels).add(1);
        who.metrics.deliverySeconds.series(buckets).add(0.25);
      }
      await who.figures.flush();
    }
    const seen = samples(await member().figures.render());
    expect(seen.get('waybill_slot_seconds_total{queue="once"}')).toBe(6);
    const ofSeconds = (part: string): [string, number][] =>
      [...seen].filter(
        ([name]) => name.startsWith(`waybill_delivery_seconds_${part}{`) && name.includes('"listener"'),
      );
    expect(ofSeconds('sum')).toEqual([[expect.any(String), 1.5]]);
    expect(ofSeconds('count')).toEqual([[expect.any(String), 6]]);
    expect(ofSeconds('bucket').map(([, value]) => value)).toEqual([0, 0, 0, 0, 0, 6, 6, 6, 6, 6, 6, 6, 6, 6]);
  });

  it('are valid text: a HELP and a TYPE for each metric, buckets that never fall, labels escaped', async () => {
    const { metrics, figures } = member();
    for (const seconds of [0.003, 0.2, 0.2, 7_000]) metrics.endToEnd.series({ kind: 'job' }).add(seconds);
    metrics.claimsRejected.inc({ queue: 'a"b\\c' });
    await figures.flush();
    const text = await figures.render();
    const named = (word: string): string[] =>
      [...text.matchAll(new RegExp(`^# ${word} (\\w+)`, 'gm'))].map((m) => m[1]!);
    expect(named('HELP')).toEqual(named('TYPE'));
    expect(new Set(named('TYPE')).size).toBe(named('TYPE').length);
    for (const line of text.trimEnd().split('\n')) expect(line).toMatch(wellFormed);
    expect(strays(text)).toEqual([]);
    const buckets = [...samples(text)].filter(([name]) =>
      name.startsWith('waybill_end_to_end_seconds_bucket'),
    );
    const values = buckets.map(([, value]) => value);
    expect(values).toEqual(values.toSorted((a, b) => a - b));
    expect(values.at(-1)).toBe(4);
    const edges = buckets.map(([name]) => Number(/le="([^"]+)"/.exec(name)![1]!.replace('+Inf', 'Infinity')));
    expect(edges).toEqual(edges.toSorted((a, b) => a - b));
    expect(edges.at(-1)).toBe(Infinity);
    expect(samples(text).get('waybill_end_to_end_seconds_count{kind="job"}')).toBe(4);
    expect(samples(text).get('waybill_end_to_end_seconds_sum{kind="job"}')).toBeCloseTo(7_000.403);
    expect(text).toContain('waybill_claims_rejected_total{queue="a\\"b\\\\c"} 1');
  });

  it('tell of what waits and of who lives', async () => {
    const { db } = database;
    await createPostgresOutbox(db).enqueue({ kind: 'job', name: 'n', queue: 'jobs', payload: {} });
    const row = { id: 'p', role: 'jobs', host: 'h', pid: 1, version: '9.9.9' };
    await beat(db, row, counts({ slots: 25, busy: 3, queues: ['jobs', 'events'] }));
    const seen = samples(await member().figures.render());
    expect(seen.get('waybill_outbox_messages{kind="job",status="pending"}')).toBe(1);
    expect(seen.get('waybill_outbox_recorded_total{kind="job"}')).toBe(1);
    expect(seen.get('waybill_processes{role="jobs"}')).toBe(1);
    expect(seen.get('waybill_worker_slots{queue="events"}')).toBe(25);
    expect(seen.get('waybill_worker_busy_slots{queue="jobs"}')).toBe(3);
    expect(seen.get('waybill_build_info{version="9.9.9"}')).toBe(1);
    expect(seen.get('waybill_outbox_oldest_due_seconds{queue="jobs"}')).toBeGreaterThanOrEqual(0);
    expect(seen.get('waybill_scrape_stale')).toBe(0);
  });

  it('tell the slots of webhooks apart from those of the other queues of a process', async () => {
    const { db } = database;
    const row = { id: 'p', role: 'jobs', host: 'h', pid: 1, version: '9.9.9' };
    const jobs = counts({ slots: 10, busy: 3, queues: ['jobs', 'events'] });
    const webhooks = counts({ slots: 200, busy: 150, queues: ['webhooks'] });
    await beat(db, row, { ...jobs, workers: [...jobs.workers, ...webhooks.workers] });
    const seen = samples(await member().figures.render());
    const of = (name: string) =>
      ['jobs', 'events', 'webhooks'].map((queue) => seen.get(`waybill_worker_${name}{queue="${queue}"}`));
    expect(of('slots')).toEqual([10, 10, 200]);
    expect(of('running')).toEqual([3, 3, 150]);
    expect(await fleet(db)).toMatchObject([
      { queues: ['jobs', 'events', 'webhooks'], slots: 210, running: 153 },
    ]);
  });

  it('agree with the list and with /readyz on which process is silent', async () => {
    const { db } = database;
    const ages = [0, 8, 20, 40, 500, 700]; // seconds
    await db.executeSql(
      `insert into waybill.processes (id, role, host, pid, version, heartbeat_at)
       select 'old ' || age, 'scheduler', 'h', 1, '', now() - age * interval '1 second' from unnest($1::int[]) age`,
      [ages],
    );
    const isOld = ({ id }: { readonly id: string }): boolean => id.startsWith('old ');
    const states = (await fleet(db)).filter(isOld).map(({ state }) => state);
    expect(states).toEqual(['alive', 'silent', 'silent', 'gone', 'gone', 'gone']);
    const silent = (await standstills(db)).filter(isOld).map(({ id }) => id);
    expect(silent.toSorted()).toEqual(['old 20', 'old 40', 'old 500', 'old 8']);
    const seen = samples(await member().figures.render());
    expect(seen.get('waybill_processes_silent{role="scheduler"}')).toBe(4);
    expect(seen.get('waybill_processes{role="scheduler"}')).toBe(3);
    await db.executeSql(`delete from waybill.processes where id like 'old %'`);
  });

  it('say 0 for queues that are open and 1 for those that are closed', async () => {
    const { db } = database;
    await registerQueues(db, ['reports']);
    await pauseQueue(db, 'reports', { by: 'ann', reason: null });
    await hold(db, 'events', 60_000, 'too many requests');
    await park(db, 'email', { reason: 'wrong password', worker: 'w', message: newId() });
    const seen = samples(await member().figures.render());
    const closed = (state: string) =>
      ['email', 'events', 'jobs', 'reports'].map((queue) =>
        seen.get(`waybill_queue_${state}{queue="${queue}"}`),
      );
    expect(closed('parked')).toEqual([1, 0, 0, 0]);
    expect(closed('held')).toEqual([0, 1, 0, 0]);
    expect(closed('paused')).toEqual([0, 0, 0, 1]);
  });

  it('stay when the database is away, and say so; what could not be flushed is flushed later', async () => {
    const db = openDatabase({
      url: database.url,
      max: 1,
      applicationName: 'away',
      onIdleError: () => undefined,
    });
    let away = false;
    const flaky = {
      executeSql: <Row>(sql: string, values?: readonly unknown[]) =>
        away ? Promise.reject(new Error('away')) : db.executeSql<Row>(sql, values),
    };
    const metrics = createMetrics({ version: 'x' });
    const figures = uncached(createFleetFigures(flaky, metrics, clock));
    const before = samples(await figures.render());
    away = true;
    metrics.pruned.inc({ status: 'dead' }, 2);
    await expect(figures.flush()).rejects.toThrow('away');
    const stale = samples(await figures.render());
    expect(stale.get('waybill_scrape_stale')).toBe(1);
    expect(stale.get('waybill_processes{role="jobs"}')).toBe(before.get('waybill_processes{role="jobs"}'));
    away = false;
    await figures.flush();
    expect(samples(await figures.render()).get('waybill_pruned_total{status="dead"}')).toBe(2);
    await db.end();
  });

  it('do not fail with a database that never answered', async () => {
    const db = openDatabase({
      url: 'postgres://nobody@127.0.0.1:1/none',
      max: 1,
      applicationName: 'nowhere',
      onIdleError: () => undefined,
    });
    const { figures } = member(db);
    expect([...samples(await figures.render())]).toEqual([['waybill_scrape_stale', 1]]);
    await db.end();
  });
});
