import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  defineAction,
  defineApp,
  defineCron,
  defineEvent,
  defineJob,
  defineListener,
} from '../../src/index.ts';
import { labelsOf } from '../../src/fleet/labels.ts';
import { publishInitial } from '../../src/metrics/initial.ts';
import { registerQueues } from '../../src/queues/queues.ts';
import { beat } from '../../src/process/heartbeat.ts';
import { counts } from '../support/counts.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { isMissing, promtool, promtoolPath } from '../support/promtool.ts';
import { testWeb, type TestWeb } from '../support/web.ts';

const happened = defineEvent({ name: 'happened', payload: z.object({}) });
const nightly = defineAction({
  name: 'nightly',
  access: 'system',
  args: z.object({}),
  handler: async () => null,
});
const app = defineApp({
  actions: [nightly],
  events: [happened],
  listeners: [defineListener({ name: 'hears', event: happened, handler: async () => undefined })],
  jobs: [defineJob({ name: 'draw', queue: 'images', payload: z.object({}), handler: async () => undefined })],
  cron: defineCron({ jobs: [{ name: 'nightly', schedule: '0 3 * * *', action: nightly, args: {} }] }),
});

let database: TestDatabase;
let web: TestWeb;
beforeAll(async () => {
  database = await testDatabase();
  web = testWeb(app, database.url);
  publishInitial(web.host.metrics, labelsOf(app, ['smtp']));
  await registerQueues(database.db, ['images', 'a "quoted" \\ queue\nof two lines']);
  await web.host.fleet.flush();
});
afterAll(async () => {
  await web.end();
  await database.end();
});

const scrape = async (): Promise<string> => (await web.server.inject('/metrics')).body;

/** The sample lines of a metric, without their values. */
const series = (text: string, name: string): string[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .map((line) => line.slice(0, line.lastIndexOf(' ')));

describe('the scrape of a fleet in which nothing has happened yet', () => {
  // The names of the contract, each with a series that must be there from the start.
  it.each([
    'waybill_outbox_messages{kind="listener",status="failed"} 0',
    'waybill_outbox_oldest_due_seconds{queue="images"} 0',
    'waybill_outbox_recorded_total{kind="email"} 0',
    'waybill_relay_moved_total{queue="images"} 0',
    'waybill_relay_lag_seconds_count 0',
    'waybill_queue_ready{queue="images"} 0',
    'waybill_queue_waiting{queue="images"} 0',
    'waybill_queue_paused{queue="images"} 0',
    'waybill_queue_parked{queue="images"} 0',
    'waybill_deliveries_total{kind="job",queue="images",outcome="dead"} 0',
    'waybill_delivery_seconds_count{kind="listener",outcome="delivered"} 0',
    'waybill_end_to_end_seconds_bucket{le="0.05",kind="job"} 0',
    'waybill_end_to_end_seconds_bucket{le="3600",kind="job"} 0',
    'waybill_claims_expired_total{queue="images"} 0',
    'waybill_claims_rejected_total{when="after",queue="images"} 0',
    'waybill_dead_letters_total{kind="job",cause="exhausted",queue="images"} 0',
    'waybill_email_attempts_total{outcome="ambiguous",provider="smtp"} 0',
    'waybill_cron_ticks_total{job="nightly",result="skipped"} 0',
    'waybill_cron_lag_seconds_count{job="nightly"} 0',
    'waybill_pruned_total{status="dead"} 0',
    'waybill_processes{role="relay"} 0',
    'waybill_worker_slots{queue="images"} 0',
    'waybill_worker_busy_slots{queue="images"} 0',
    'waybill_workers_recommended{queue="images"} 0',
    'waybill_slot_seconds_total{queue="images"} 0',
  ])('has %s', async (line) => {
    expect((await scrape()).split('\n')).toContain(line);
  });

  it('counts a process under each of its roles', async () => {
    const row = { host: 'h', pid: 1, version: '9.9.9' };
    await beat(
      database.db,
      { ...row, id: 'p1', role: 'relay+jobs' },
      counts({ slots: 1, busy: 0, queues: [] }),
    );
    await beat(database.db, { ...row, id: 'p2', role: 'all' }, counts({ slots: 1, busy: 0, queues: [] }));
    const fresh = testWeb(app, database.url);
    const lines = (await fresh.server.inject('/metrics')).body.split('\n');
    await fresh.end();
    for (const line of ['{role="relay"} 2', '{role="jobs"} 2', '{role="web"} 1'])
      expect(lines).toContain(`waybill_processes${line}`);
  });

  it('has each series once', async () => {
    const lines = (await scrape()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    const all = lines.map((line) => line.slice(0, line.lastIndexOf(' ')));
    expect(all.filter((one, i) => all.indexOf(one) !== i)).toEqual([]);
  });
});

describe('the text of the scrape', () => {
  it.skipIf(isMissing(promtoolPath, 'promtool'))(
    'passes promtool check metrics, with strange queue names in it',
    async () => {
      const text = await scrape();
      expect(text).toContain('queue="a \\"quoted\\" \\\\ queue\\nof two lines"');
      expect(await promtool(['check', 'metrics'], text)).toEqual({ code: 0, said: '' });
    },
  );

  it('stays readable when somebody edited the rows of counters by hand', async () => {
    await database.db.executeSql('alter table waybill.counters drop constraint counters_values'); // as an older deploy left them
    await database.db.executeSql(
      `insert into waybill.counters (name, labels, value) values
        ('waybill_pruned_total', 'null', 1), ('waybill_pruned_total', '[1]', 1), ('waybill_pruned_total', '{"status": {"a": 1}}', 1),
        ('waybill_pruned_total', '{"a b": "c"}', 1), ('waybill_pruned_total', '{"status": "odd"}', 'NaN'), ('no_such_thing', '{}', 1)`,
    );
    const fresh = testWeb(app, database.url);
    const text = (await fresh.server.inject('/metrics')).body;
    await fresh.end();
    const names = ['cancelled', 'dead', 'delivered'].map(
      (status) => `waybill_pruned_total{status="${status}"}`,
    );
    expect(series(text, 'waybill_pruned_total')).toEqual(names);
    expect(text).toContain('waybill_scrape_stale 0');
    expect(text).not.toContain('no_such_thing');
  });
});
