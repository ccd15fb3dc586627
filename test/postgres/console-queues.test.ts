// The pages of queues, and what their forms do. Real: Postgres and the web server.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineApp } from '../../src/index.ts';
import { listActs } from '../../src/operate/audit.ts';
import { viewMessage } from '../../src/operate/read.ts';
import { listQueues, showQueue } from '../../src/queues/queues.ts';
import { atConsole, type Person } from '../support/console.ts';
import { seed, type Seeded } from '../support/console-seed.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testWeb, type TestWeb } from '../support/web.ts';

let database: TestDatabase;
let web: TestWeb;
let seeded: Seeded;
let ann: Person;
beforeAll(async () => {
  database = await testDatabase();
  seeded = await seed(database.db);
  web = testWeb(defineApp({}), database.url);
  ann = await atConsole(web);
});
afterAll(async () => {
  await web.end();
  await database.end();
});

const states = async (): Promise<Record<string, string>> =>
  Object.fromEntries((await listQueues(database.db)).map(({ name, state }) => [name, state]));

describe('all queues', () => {
  it('are paused but those that are left out, and resumed; the form says how many, and the audit has it as one act', async () => {
    const { body } = await ann.open('/console/queues');
    expect(body).toContain('No message of 4 queues is claimed');
    const done = await ann.send('/console/queues/pause', [
      ['for', '1h'],
      ['reason', 'a bad deploy'],
      ['except', 'email'],
      ['except', 'events'],
    ]);
    expect([done.status, done.to]).toEqual([303, '/console/queues']);
    expect(await states()).toEqual({ email: 'open', events: 'open', invoices: 'paused', jobs: 'paused' });
    expect((await ann.send('/console/queues/pause', { except: 'emial' })).body).toContain(
      'did you mean email?',
    );
    expect((await ann.open('/console')).body).toContain('2 queues are closed');
    await ann.send('/console/queues/resume', { except: 'invoices' });
    expect((await states())['jobs']).toBe('open');
    expect((await states())['invoices']).toBe('paused');
    const { acts } = await listActs(database.db, { act: ['queue.pause', 'queue.resume'], limit: 2 });
    expect(acts.map(({ act, count, reason }) => [act, count, reason])).toEqual([
      ['queue.resume', 1, null],
      ['queue.pause', 2, 'a bad deploy'],
    ]);
  });
});

describe('a queue', () => {
  it('shows each limit with who set it and why, sets all kinds of them, and warns of looser ones', async () => {
    await database.db.executeSql(
      `update waybill.queues set app_limits = '{"concurrency": 5}' where name = 'events'`,
    );
    const limits = { rate: '50/s', burst: '5', concurrency: '9', perGroupRate: '2/s', ramp: '10s' };
    await ann.send('/console/queues/events/limit', { ...limits, reason: 'their API' });
    const { body } = await ann.open('/console/queues/events');
    expect(body).toContain('50 in 1 s, 5 at once');
    expect(body).toMatch(/looser<\/span>/);
    expect(body).toMatch(/Last set by <bdi>ann<\/bdi> <time.+“<bdi>their API<\/bdi>”/);
    await ann.send('/console/queues/events/reset');
    expect((await showQueue(database.db, 'events')).limits.effective).toEqual({ concurrency: 5 });
    expect((await ann.send('/console/queues/events/limit', { burst: '5' })).body).toContain(
      'burst is a part of a rate',
    );
  });

  it('pauses one group with an end, resumes it, and leads to the preview that cancels it', async () => {
    const path = '/console/queues/invoices';
    await ann.send(`${path}/groups/pause`, { group: 'acme', for: '1h', reason: 'they flood us' });
    const { body } = await ann.open(path);
    expect(body).toMatch(/<bdi>they flood us<\/bdi> · by <bdi>ann<\/bdi> · since <time.+ends <time/);
    expect(body).toContain('/console/bulk/new?action=cancel&amp;q=queue%3Ainvoices+group%3Aacme');
    const preview = await ann.open('/console/bulk/new?action=cancel&q=queue%3Ainvoices+group%3Aacme');
    expect([preview.status, preview.body]).toEqual([200, expect.stringContaining('Cancel 2 messages')]);
    await ann.send(`${path}/groups/resume`, { group: 'acme' });
    expect((await ann.open(path)).body).not.toContain('they flood us');
  });

  it('lets one message through its pause, by its id on the page of the queue or by the button of the message', async () => {
    const path = '/console/queues/invoices';
    const { status, to } = await ann.send(`${path}/run`, { id: seeded.waiting, reason: 'one to see' });
    expect([status, to]).toEqual([303, `/console/messages/${seeded.waiting}`]);
    const { rows } = await database.db.executeSql(
      `select run_messages from waybill.queues where name = 'invoices'`,
    );
    expect(rows).toEqual([{ run_messages: [seeded.waiting] }]);
    expect((await ann.open(to!)).body).toContain(`/console/messages/${seeded.waiting}/run`);
    expect((await ann.send(`/console/messages/${seeded.waiting}/run`)).status).toBe(303);
    expect((await viewMessage(database.db, seeded.waiting)).status).toBe('pending');
    expect((await ann.send(`${path}/run`, { id: seeded.dead })).status).toBe(409);
    expect((await ann.send(`${path}/run`, { id: 'x' })).status).toBe(400);
  });

  it('names the order keys that a dead message blocks, and lets one go on', async () => {
    await database.db.executeSql(
      `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, order_key, order_due, status, dead_at, last_error, ends, revision)
       values (gen_random_uuid(), 'job', 'book', 'jobs', '{}', 3, 'account-7', now(), 'dead', now(), 'no such account of ann@customers.example', 1, 0)`,
    );
    const { body } = await ann.open('/console/queues/jobs');
    expect(body).toMatch(/Blocked order keys[^]+account-7[^]+a\*\*\*@customers.example/);
    await ann.send('/console/queues/jobs/unblock', { orderKey: 'account-7' });
    expect((await ann.open('/console/queues/jobs')).body).not.toContain('account-7</bdi>');
  });
});
