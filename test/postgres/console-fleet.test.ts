// The pages Running and Fleet, and what their forms do. Real: Postgres and the web server. Doubled: the processes, which are rows.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { settingsInForce } from '../../src/config/in-force.ts';
import { defineApp } from '../../src/index.ts';
import { listActs } from '../../src/operate/audit.ts';
import { viewMessage } from '../../src/operate/read.ts';
import { listRunning } from '../../src/operate/running.ts';
import { beat } from '../../src/process/heartbeat.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { counts } from '../support/counts.ts';
import { atConsole, type Person } from '../support/console.ts';
import { seed, type Seeded } from '../support/console-seed.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { adminKey, testWeb, type TestWeb } from '../support/web.ts';

const workerId = 'host-9:4711:a1b2c3';
const secrets = { SMTP_URL: 'smtp://me:hidden-word@mail.example', RESEND_API_KEY: 'hidden-key' };

let database: TestDatabase;
let web: TestWeb;
let seeded: Seeded;
let ann: Person;
let longest: string;
let prefetched: string;
beforeAll(async () => {
  database = await testDatabase();
  seeded = await seed(database.db);
  web = testWeb(defineApp({}), database.url, secrets);
  ann = await atConsole(web);
  const outbox = createPostgresOutbox(database.db);
  const { id } = await outbox.enqueue({ kind: 'job', name: 'hangs', queue: 'jobs', payload: {} });
  longest = id;
  await outbox.claimBatch({ limit: 1, leaseMs: 600_000, workerId, ids: [id] });
  await database.db.executeSql(
    `update waybill.outbox_messages set claimed_at = now() - interval '20 minutes', revision = revision + 1 where id = $1`,
    [id],
  );
  const other = await outbox.enqueue({ kind: 'job', name: 'not-begun', queue: 'jobs', payload: {} });
  prefetched = other.id;
  await outbox.claimBatch({ limit: 1, leaseMs: 600_000, workerId, ids: [prefetched] });
  await database.db.executeSql(
    `update waybill.outbox_messages set prefetched = true, revision = revision + 1 where id = $1`,
    [prefetched],
  );
  for (const [process, concurrency] of [
    [workerId, '25'],
    ['host-8:1:b', '50'],
  ] as const) {
    const config = readConfig({ DATABASE_URL: database.url, WAYBILL_CONCURRENCY: concurrency, ...secrets });
    const row = {
      id: process,
      role: 'jobs',
      host: 'host',
      pid: 1,
      version: '1.0.0',
      application: '214',
      settings: settingsInForce(config),
    };
    await beat(
      database.db,
      row,
      counts({ slots: 25, busy: 2, queues: ['jobs'] }),
      process === workerId ? [] : ['sweep'],
    );
  }
});
afterAll(async () => {
  await web.end();
  await database.end();
});

describe('what runs', () => {
  it('is listed longest first with its worker, attempt and lease; what has not begun is only counted', async () => {
    const { body } = await ann.open('/console/running');
    expect(body).toContain('2 messages run, and 1 is claimed and not begun');
    expect(body.indexOf(longest)).toBeLessThan(body.indexOf(seeded.running));
    expect(body).not.toContain(prefetched);
    expect(body).toMatch(/class="warn"[^>]*>20 m/);
    expect(body).toContain('not in the fleet'); // the seeded worker has no row
    expect(body).toContain('waybill outbox running');
  });

  it('is bounded, and says how much more there is', async () => {
    const one = await listRunning(database.db, '1');
    expect([one.messages.map(({ id }) => id), one.running, one.prefetched]).toEqual([[longest], 2, 1]);
    const headers = { authorization: `Bearer ${adminKey}` };
    const asked = async (url: string) =>
      (await web.server.inject({ url, headers })).json<{ code?: string; running?: number }>();
    expect((await asked('/admin/outbox/running?limit=1')).running).toBe(2);
    expect((await asked('/admin/outbox/running?limit=0')).code).toBe('invalid_limit');
    expect((await asked('/admin/outbox/running?queue=jobs')).code).toBe('invalid_arguments');
  });

  it('is ended from its row, and its process quieted', async () => {
    const done = await ann.send(`/console/messages/${longest}/end`, { then: 'cancel', reason: 'it hangs' });
    expect([done.status, (await viewMessage(database.db, longest)).status]).toEqual([303, 'cancelled']);
    const path = `/console/fleet/${encodeURIComponent(workerId)}`;
    expect((await ann.open('/console/fleet')).body).toContain(`action="${path}/quiet"`);
    const quiet = await ann.send(`${path}/quiet`, { for: '30m', reason: 'look at its heap' });
    expect([quiet.status, quiet.to]).toEqual([303, '/console/fleet']);
    const { body } = await ann.open('/console/fleet');
    expect(body).toMatch(
      /quiet<\/span><small>“<bdi>look at its heap<\/bdi>” · by <bdi>ann<\/bdi> · since .+ends <time/,
    );
    await ann.send(`${path}/resume`);
    expect((await ann.open('/console/fleet')).body).not.toContain('look at its heap');
    const { acts } = await listActs(database.db, { target: workerId });
    expect(acts.map(({ act }) => act)).toEqual(['process.resume', 'process.quiet']);
    expect((await ann.send('/console/fleet/nobody/quiet')).status).toBe(404);
  });
});

describe('the page Fleet', () => {
  it('has stalled loops, versions, connections, tables and advice, and the settings where they differ, without secrets', async () => {
    const { body } = await ann.open('/console/fleet');
    expect(body).toMatch(/stalled<\/span><small><bdi>sweep/);
    expect(body).toContain('Waybill <bdi>1.0.0');
    expect(body).toMatch(/\d+ of \d+ connections of the server are used/);
    expect(body).toMatch(/outbox_messages<\/code>/);
    expect(body).toMatch(/And \d+ smaller tables with/);
    expect(body).toMatch(/WAYBILL_CONCURRENCY<\/bdi><\/dt><dd><bdi>25<\/bdi>.+<bdi>50<\/bdi>.+differs/);
    expect(body).toMatch(/WAYBILL_DEAD_RETENTION<\/bdi><\/dt><dd><bdi>30d<\/bdi><\/dd>/);
    expect(body).not.toContain('hidden-');
  });

  it('shows the settings of its own process where no other reports them', async () => {
    await database.db.executeSql(`update waybill.processes set settings = '{}'`);
    expect((await ann.open('/console/fleet')).body).toContain('Of this web process');
  });
});
