// Acts on many messages in the console, without a browser: the search and its tabs, and bulk acts from their form to their end. Real: Postgres and the
// web server.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defineApp } from '../../src/index.ts';
import { listActs } from '../../src/operate/audit.ts';
import { listBulk, showBulk } from '../../src/operate/bulk.ts';
import { workBulk } from '../../src/operate/bulk-work.ts';
import { viewMessage } from '../../src/operate/read.ts';
import { countStates } from '../../src/operate/state-counts.ts';
import { readStats } from '../../src/operate/stats.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { consoleEnv, consoleOf, tokenIn, type Answer } from '../support/console-people.ts';
import { seed, type Seeded } from '../support/console-seed.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testWeb, type TestWeb } from '../support/web.ts';

let database: TestDatabase;
let seeded: Seeded;
let web: TestWeb;
let oscar: string;
const { send, signIn, act } = consoleOf(() => web);
beforeAll(async () => {
  database = await testDatabase();
  seeded = await seed(database.db);
  web = testWeb(defineApp({}), database.url, consoleEnv);
  oscar = await signIn('oscar');
});
afterAll(async () => {
  await web.end();
  await database.end();
});

async function record(name: string, count: number, more: object = {}): Promise<string[]> {
  const message = { kind: 'job', name, queue: 'jobs', payload: { customer: { id: 7 } }, ...more } as const;
  const all = await createPostgresOutbox(database.db).enqueue(Array.from({ length: count }, () => message));
  return all.map(({ id }) => id);
}

const page = (path: string, fields: Record<string, string> = {}, cookie = oscar): Promise<Answer> =>
  send('GET', `${path}?${new URLSearchParams(fields).toString()}`, { cookie });
const newBulk = (fields: Record<string, string>, cookie = oscar): Promise<Answer> =>
  page('/console/bulk/new', fields, cookie);

describe('the list of messages', () => {
  it('its tabs have the counts that the statistics have, and the scheduled ones beside them', async () => {
    await record('later', 3, { availableAt: new Date(Date.now() + 3_600_000) });
    const [counts, { byStatus }] = await Promise.all([
      database.db.transaction(countStates),
      readStats(database.db),
    ]);
    const { scheduled, ...states } = counts;
    expect(scheduled).toEqual({ count: 3, atLeast: false });
    expect(Object.fromEntries(Object.entries(states).map(([name, { count }]) => [name, count]))).toEqual(
      byStatus,
    );
    const { body } = await page('/console/messages', { status: 'scheduled' });
    expect(body.match(/<tr data-href/g)).toHaveLength(3);
    expect(body).toContain('All 3 that match');
    expect(body).toContain('href="/console/bulk/new?q=status%3Ascheduled"');
  });

  it('bare text is tried as an id, a delivery key, its beginning, a tag and a request', async () => {
    await record('tagged', 1, { tags: ['order-4711'] });
    expect((await page('/console/messages', { q: seeded.dead })).body).toContain(seeded.dead);
    expect((await page('/console/messages', { q: 'customer-' })).body).toContain('prefix:customer-');
    const { body } = await page('/console/messages', { q: 'order-4711' });
    expect(body).toContain('<code><bdi>tag:order-4711</bdi></code>');
    expect(body).toContain('href="/console/bulk/new?q=tag%3Aorder-4711"');
    expect((await page('/console/messages', { q: 'nothing-at-all' })).body).toContain('No message here');
  });

  it('a value in the payload is found by an admin alone', async () => {
    await record('with-contents', 1);
    const q = 'payload.customer.id:7 name:with-contents';
    expect((await page('/console/messages', { q })).status).toBe(403);
    expect((await newBulk({ q, action: 'cancel' })).body).toContain('needs the role admin');
    const { status, body } = await page('/console/messages', { q }, await signIn('ann'));
    expect([status, body.match(/<tr data-href/g)]).toMatchObject([200, { length: 1 }]);
  });

  it('every page with 50 rows weighs at most 150 KB with style and script', async () => {
    await record(`heavy-${'x'.repeat(90)}`, 60, { deliveryKey: undefined, tags: ['heavy'] });
    const [{ body }, assets] = await Promise.all([page('/console/messages'), page('/console/sign-in')]);
    const paths = [...assets.body.matchAll(/"(\/console\/assets\/[^"]+)"/g)].map(([, path]) => path!);
    const weights = await Promise.all(paths.map(async (path) => (await send('GET', path)).body.length));
    const fixed = weights.reduce((sum, weight) => sum + weight, 0);
    expect(body.match(/<tr data-href/g)).toHaveLength(50);
    const preview = await newBulk({ action: 'cancel', q: 'tag:heavy' });
    for (const { length } of [body, preview.body]) expect(length + fixed).toBeLessThan(150_000);
  });
});

describe('a bulk act', () => {
  let name: string;
  let i = 0;
  beforeEach(async () => {
    name = `bulk-${++i}`;
    await record(name, 120);
  });
  const q = (): string => `name:${name}`;
  const begin = (fields: Record<string, string>): Promise<Answer> =>
    act(oscar, '/console/bulk/start', { action: 'cancel', q: q(), ...fields });
  const idOf = ({ headers }: Answer): string => String(headers['location']).split('/').at(-1)!;

  it('is previewed by a link, started by the form below it, and followed to its end', async () => {
    const { body } = await newBulk({ action: 'cancel', q: q(), reason: 'a wrong deploy', rate: '1000/s' });
    expect(body).toContain('Cancel 120 messages?');
    expect(body).toContain('Nothing has been done yet');
    expect(body).toContain('the queue jobs is open');
    expect(body).toContain('value="a wrong deploy"');
    expect(body).toContain(`waybill bulk start cancel --name ${name} --rate 1000/s`);
    expect((await listBulk(database.db)).bulkActs).toEqual([]);
    const started = await begin({ expect: '120', reason: 'a wrong deploy', rate: '1000/s' });
    expect(started.status).toBe(303);
    const id = idOf(started);
    await workBulk(database.db);
    const shown = await send('GET', `/console/bulk/${id}`, { cookie: await signIn('rita') });
    expect(shown.body).toContain('“<bdi>a wrong deploy</bdi>”');
    expect(shown.body).toContain('120 of 120');
    expect(shown.body).not.toContain('class="act ');
    expect((await page('/console/bulk', { state: 'done' })).body).toContain(id);
    const { acts } = await listActs(database.db, { target: id });
    expect(acts).toMatchObject([{ act: 'bulk.start', via: 'console', reason: 'a wrong deploy', count: 120 }]);
  });

  it('above 100 messages needs the count: a missing or wrong one leads back, and nothing typed is lost', async () => {
    for (const [typed, said] of [
      ['', 'nothing'],
      ['12', '12'],
      ['many', 'many'],
    ] as const) {
      const answer = await begin({ expect: typed, reason: 'because' });
      const back = await send('GET', String(answer.headers['location']), { cookie: oscar });
      expect(back.body).toContain(`120 messages match, and “<bdi>${said}</bdi>” was typed`);
      expect(back.body).toContain('value="because"');
    }
    expect((await begin({ expect: ' 1,20' })).headers['location']).toMatch(/^\/console\/bulk\/0/);
  });

  it('is paused, resumed and stopped; a second stop says that it has ended', async () => {
    const id = idOf(await begin({ expect: '120' }));
    for (const [move, state] of [
      ['pause', 'paused'],
      ['resume', 'running'],
      ['stop', 'stopped'],
    ] as const) {
      expect((await act(oscar, `/console/bulk/${id}/${move}`, { reason: 'r' })).status).toBe(303);
      expect((await showBulk(database.db, id)).state).toBe(state);
    }
    const again = await act(oscar, `/console/bulk/${id}/stop`);
    expect([again.status, again.body]).toEqual([409, expect.stringContaining('is stopped since')]);
  });

  it('says what it skips: a message that is being sent, and one whose key a newer message has', async () => {
    const { body } = await newBulk({ action: 'cancel', q: 'name:sync-customer' });
    expect(body).toContain('are being sent: they end first');
  });

  it('without a filter, with an unknown word, for one message or by a reader there is none', async () => {
    const cases: [Record<string, string>, RegExp][] = [
      [{ action: 'cancel' }, /A bulk act without a filter is refused/],
      [{ action: 'cancel', q: 'nam:x' }, /did you mean name:\?/],
      [{ action: 'cancel', q: seeded.dead }, /this is one message/],
      [{ action: 'cancel', q: 'status:dead' }, /dead messages cannot be cancelled/],
      [{ action: 'hold', q: q() }, /hold needs due/],
      [{ action: 'cancel', q: q(), limit: 'x' }, /limit must be a whole number/],
      [{ action: 'cancel', q: q(), rate: 'fast' }, /rate/],
    ];
    for (const [fields, why] of cases)
      expect([fields, (await newBulk(fields)).body]).toEqual([fields, expect.stringMatching(why)]);
    expect((await newBulk({ action: 'cancel', q: 'name:none' })).body).toContain('No message matches');
    expect((await act(oscar, '/console/bulk/start', { action: 'cancel', q: '' })).status).toBe(400);
    expect((await newBulk({}, await signIn('rita'))).status).toBe(403);
    expect((await page(`/console/bulk/${seeded.dead}`)).status).toBe(404);
  });

  it('ticked rows have a preview of their own', async () => {
    const ids = await record('ticked', 2);
    const query = new URLSearchParams([['act', 'cancel'], ...ids.map((id): [string, string] => ['id', id])]);
    const preview = await send('GET', `/console/messages/selected?${query.toString()}`, { cookie: oscar });
    query.set('_token', tokenIn(preview.body));
    await send('POST', '/console/messages/selected', { cookie: oscar, form: query.toString() });
    const states = await Promise.all(ids.map(async (id) => (await viewMessage(database.db, id)).status));
    expect(states).toEqual(['cancelled', 'cancelled']);
  });
});
