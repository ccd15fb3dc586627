// The console at /console without a browser: who may see it, what its pages show, what its forms do. Real: Postgres and the web server.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readAdminKeys } from '../../src/config/admin-keys.ts';
import { sealLink, sealSession, sessionMs } from '../../src/console/session.ts';
import { defineApp } from '../../src/index.ts';
import { listActs } from '../../src/operate/audit.ts';
import { viewMessage } from '../../src/operate/read.ts';
import { consoleEnv, consoleKeys, consoleOf, cookieFrom, tokenIn } from '../support/console-people.ts';
import { hostile, seed, type Seeded } from '../support/console-seed.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testWeb, type TestWeb } from '../support/web.ts';

const keys = readAdminKeys('WAYBILL_ADMIN_KEYS', consoleKeys, 1, () => undefined);

let database: TestDatabase;
let seeded: Seeded;
const webs: TestWeb[] = [];
let web: TestWeb;
const { send, signIn, act } = consoleOf(() => web);
const start = (more: Record<string, string | undefined> = {}, app = defineApp({})): TestWeb => {
  const made = testWeb(app, database.url, { ...consoleEnv, ...more });
  webs.push(made);
  return made;
};
beforeAll(async () => {
  database = await testDatabase();
  seeded = await seed(database.db);
  web = start();
});
afterAll(async () => {
  for (const one of webs) await one.end();
  await database.end();
});

describe('signing in', () => {
  it('a key and a name begin a session of twelve hours, and the audit says so', async () => {
    const answer = await send('POST', '/console/sign-in', {
      form: 'name=Ann+Example&key=key-of-ann&next=/console/audit',
    });
    expect(answer.headers['location']).toBe('/console/audit');
    expect(String(answer.headers['set-cookie'])).toMatch(
      /^waybill_console=[\w.-]+; Path=\/console; Max-Age=43200; HttpOnly; SameSite=Strict$/,
    );
    const page = await send('GET', '/console', { cookie: cookieFrom(answer) });
    expect(page.status).toBe(200);
    expect(page.body).toContain('Ann Example');
    const { acts } = await listActs(database.db, { act: ['session.start'], limit: 1 });
    expect(acts[0]).toMatchObject({
      by: 'Ann Example',
      key: 'ann',
      via: 'console',
      detail: { role: 'admin' },
    });
  });

  it('the cookie is for https alone where the page came by https', async () => {
    const headers = { 'x-forwarded-proto': 'https' };
    const answer = await send('POST', '/console/sign-in', { form: 'name=a&key=key-of-ann', headers });
    expect(String(answer.headers['set-cookie'])).toMatch(/; Secure$/);
  });

  it('a wrong key is refused, counted and never shown again; another site is not a place to go next', async () => {
    const wrong = await send('POST', '/console/sign-in', { form: 'name=Eve&key=guessed-key' });
    expect(wrong.status).toBe(401);
    expect(wrong.body).not.toContain('guessed-key');
    expect(await web.host.metrics.registry.getSingleMetricAsString('waybill_admin_refused_total')).toMatch(
      / [1-9]/,
    );
    for (const next of [
      'https://evil.test',
      '//evil.test',
      '/console/\\evil.test',
      '/admin',
      '/console/../admin',
      '/console/%2e%2e/admin',
      '/console/.\t./admin',
      '/console/..//evil.test',
      '/consoles',
      '/console/enter?token=x',
      '/console/%65nter',
      '/console/sign-in?next=/console',
      '/console/x/../enter',
    ]) {
      const form = new URLSearchParams({ name: 'a', key: 'key-of-ann', next }).toString();
      expect((await send('POST', '/console/sign-in', { form })).headers['location']).toBe('/console');
    }
  });

  it('without a session every page is the sign-in, which comes back to the page', async () => {
    const answer = await send('GET', '/console/messages?status=dead');
    expect(answer.status).toBe(401);
    expect(answer.body).toContain('value="/console/messages?status=dead"');
  });

  it('forged, expired and signed-out sessions are refused, each with what to do', async () => {
    const good = await signIn('ann');
    const [text, signature] = good.split('=')[1]!.split('.');
    const forged = Buffer.from(text!, 'base64url').toString().replace('ann', 'bob');
    const cases: [string, RegExp][] = [
      [`${Buffer.from(forged).toString('base64url')}.${signature}`, /not valid here/],
      ['nonsense', /not valid here/],
      [sealSession(keys[0]!, 'Ann', Date.now() - sessionMs - 1_000), /ended after 12 hours/],
      [sealLink(keys[0]!, 'Ann', Date.now()), /not valid here/],
      [sealSession({ ...keys[0]!, key: 'another' }, 'Ann', Date.now()), /not valid here/],
    ];
    for (const [value, why] of cases) {
      const answer = await send('GET', '/console', { cookie: `waybill_console=${value}` });
      expect([answer.status, answer.body]).toEqual([401, expect.stringMatching(why)]);
    }
    expect((await act(good, '/console/sign-out')).headers['location']).toBe('/console/sign-in');
    const replayed = await send('GET', '/console', { cookie: good });
    expect([replayed.status, replayed.body]).toEqual([401, expect.stringContaining('was signed out')]);
  });

  it('a session ends when its key leaves the configuration', async () => {
    const cookie = await signIn('oscar');
    const later = start({ WAYBILL_ADMIN_KEYS: 'ann:admin:key-of-ann,oscar:operate:a-new-key' });
    expect((await send('GET', '/console', { cookie, to: later })).status).toBe(401);
  });

  it('a link signs its person in once, on this machine and not in production', async () => {
    const link = `/console/enter?token=${sealLink(keys[0]!, 'dev', Date.now())}`;
    expect((await send('HEAD', link)).status).toBe(405);
    const first = await send('GET', link);
    expect([first.status, first.headers['location']]).toEqual([303, '/console']);
    expect((await send('GET', '/console', { cookie: cookieFrom(first) })).status).toBe(200);
    const used = await send('GET', link);
    expect([used.status, used.body]).toEqual([401, expect.stringContaining('was used before')]);
    expect(used.body).toContain('name="next" value="/console"');
    const again = await send('GET', link, { cookie: await signIn('ann') });
    expect([again.status, again.headers['location']]).toEqual([303, '/console']);
    const old = sealLink(keys[0]!, 'dev', Date.now() - sessionMs - 1_000);
    const expired = await send('GET', `/console/enter?token=${old}`);
    expect([expired.status, expired.body]).toEqual([
      401,
      expect.stringContaining('has expired: it works for 12 hours'),
    ]);
    const other = `/console/enter?token=${sealLink(keys[0]!, 'dev', Date.now())}`;
    const remote = await web.server.inject({ method: 'GET', url: other, remoteAddress: '10.0.0.9' });
    expect(remote.statusCode).toBe(401);
  });

  it('a link of another site opens the console: the page asks again by itself, and then has the cookie', async () => {
    const headers = {
      'sec-fetch-site': 'cross-site',
      'sec-fetch-mode': 'navigate',
      'sec-fetch-dest': 'document',
    };
    const answer = await send('GET', '/console/messages?q=a', { headers });
    expect(answer.body).toContain('content="0; url=/console/messages?q=a"');
  });

  it('without any key the console says how to open it', async () => {
    const closed = start({ WAYBILL_ADMIN_KEYS: undefined });
    const answer = await send('GET', '/console', { to: closed });
    expect([answer.status, answer.body]).toEqual([503, expect.stringContaining('set WAYBILL_ADMIN_KEY')]);
  });

  it('the application may sign people in itself', async () => {
    const app = defineApp({
      console: {
        authenticate: ({ headers }) => {
          const who = headers['x-who'];
          return typeof who === 'string' ? { name: who, role: who === 'boss' ? 'admin' : 'read' } : null;
        },
      },
    });
    const own = start({}, app);
    const page = await send('GET', '/console', { headers: { 'x-who': 'boss' }, to: own });
    expect([page.status, page.body]).toEqual([200, expect.stringContaining('boss')]);
    const form = `_token=${tokenIn(page.body)}`;
    const done = await send('POST', `/console/messages/${seeded.delivered}/show`, {
      form,
      headers: { 'x-who': 'boss' },
      to: own,
    });
    expect(done.status).toBe(200);
    const stolen = await send('POST', `/console/messages/${seeded.delivered}/show`, {
      form,
      headers: { 'x-who': 'reader' },
      to: own,
    });
    expect(stolen.status).toBe(403);
    expect((await send('GET', '/console', { to: own })).status).toBe(401);
  });
});

const everyPage = [
  '/console',
  '/console/messages',
  '/console/messages?status=dead',
  '/console/messages?q=name%3Async-customer+since%3A1h',
  '/console/failures',
  '/console/failures?window=7d',
  '/console/bulk',
  '/console/bulk?state=running',
  '/console/running',
  '/console/queues',
  '/console/queues/invoices',
  '/console/cron',
  '/console/suppressions',
  '/console/fleet',
  '/console/audit',
  '/console/audit?act=queue.pause',
  '/console/keys',
];

describe('the pages', () => {
  it('each is a whole page under a strict policy, with the command that gives the same, and no payload', async () => {
    const cookie = await signIn('rita');
    for (const url of [...everyPage, `/console/messages/${seeded.dead}`]) {
      const { status, body, headers } = await send('GET', url, { cookie });
      expect([url, status]).toEqual([url, 200]);
      expect(headers['content-security-policy']).toMatch(
        /^default-src 'none'; style-src 'self'; script-src 'self';/,
      );
      expect(headers['cache-control']).toBe('no-store');
      expect(body).toMatch(/<h1/);
      if (url !== '/console/keys') expect(body).toContain('<code>waybill ');
      expect(body).not.toMatch(/<script>|<style|style="|onclick|tea/);
    }
  });

  it('style and scripts together are light, and may be kept for ever', async () => {
    const { body } = await send('GET', '/console/sign-in');
    const assets = [...body.matchAll(/"(\/console\/assets\/[^"]+)"/g)].map(([, path]) => path!);
    expect(assets).toHaveLength(3);
    const answers = await Promise.all(assets.map((path) => send('GET', path)));
    for (const { status, headers } of answers)
      expect([status, headers['cache-control']]).toEqual([200, 'public, max-age=31536000, immutable']);
    expect(answers.reduce((sum, answer) => sum + answer.body.length, body.length)).toBeLessThan(60_000);
  });

  it('an unknown token of the search names the nearest, and keeps what was typed', async () => {
    const cookie = await signIn('rita');
    const { status, body } = await send('GET', '/console/messages?q=queu%3Ajobs', { cookie });
    expect([status, body]).toEqual([400, expect.stringContaining('did you mean queue:?')]);
    expect(body).toContain('value="queu:jobs"');
  });

  it('bad parameters, ids of another kind and unknown queues are said, not ignored', async () => {
    const cookie = await signIn('rita');
    const answers = await Promise.all(
      [
        '/console?x=1',
        '/console/messages?cursor=abc',
        '/console/messages/7',
        '/console/queues/nope',
        '/console/nothing',
      ].map((url) => send('GET', url, { cookie })),
    );
    expect(answers.map(({ status }) => status)).toEqual([400, 400, 400, 404, 404]);
    for (const { body } of answers) expect(body).toContain('role="alert"');
  });

  it('a path without a page is said in the frame of the console; a slash at the end leads to its first page', async () => {
    const cookie = await signIn('rita');
    const { status, body, headers } = await send('GET', '/console/nope/x', { cookie });
    expect([status, headers['content-type']]).toEqual([404, 'text/html; charset=utf-8']);
    expect(body).toContain('<nav');
    expect(body).toContain('there is nothing at this path');
    expect((await send('GET', '/console/nope')).status).toBe(401);
    const act = await send('GET', '/console/queues/jobs/pause', { cookie });
    expect([act.status, act.headers['allow']]).toEqual([405, 'POST']);
    expect(act.body).toContain('this path takes POST');
    const slash = await send('GET', '/console/', { cookie });
    expect([slash.status, slash.headers['location']]).toEqual([303, '/console']);
  });

  it('hostile texts are shown, cut, and never obeyed', async () => {
    const cookie = await signIn('ann');
    const { body } = await send('GET', '/console/messages?q=name%3Aimport', { cookie });
    expect(body).toContain('&lt;script&gt;document.title');
    expect(body).not.toContain('<script>document');
    for (const char of ['\u0007', '\u001b', '\u202e']) expect(body).not.toContain(char);
    expect(body).not.toContain('x'.repeat(1_000));
    expect(hostile.length).toBeGreaterThan(10_000);
  });

  it('a statement that takes longer than two seconds is given up, and the page says what to narrow', async () => {
    const cookie = await signIn('ann');
    await database.db.transaction(async (tx) => {
      await tx.executeSql('lock table waybill.outbox_messages in access exclusive mode');
      const { status, body } = await send('GET', '/console/messages?q=name%3Aimport', { cookie });
      expect([status, body]).toEqual([503, expect.stringContaining('longer than 2 s')]);
      expect(body).toContain('value="name:import"');
    });
  });
});

describe('the forms', () => {
  it('a form without its token, with another session’s, or from another site does nothing', async () => {
    const [ann, oscar] = [await signIn('ann'), await signIn('oscar')];
    const url = '/console/queues/jobs/pause';
    const token = tokenIn((await send('GET', '/console', { cookie: oscar })).body);
    const refused = [
      await send('POST', url, { cookie: ann, form: 'for=1h' }),
      await send('POST', url, { cookie: ann, form: `_token=${token}` }),
      await send('POST', url, {
        cookie: oscar,
        form: `_token=${token}`,
        headers: { origin: 'https://evil.test' },
      }),
      await send('POST', url, { form: `_token=${token}` }),
    ];
    expect(refused.map(({ status }) => status)).toEqual([403, 403, 403, 401]);
    expect((await listActs(database.db, { target: 'jobs' })).acts).toEqual([]);
  });

  it('a role that may not act has no forms, and its post is refused', async () => {
    const cookie = await signIn('rita');
    expect((await send('GET', '/console', { cookie })).body).not.toContain('class="act ');
    const answer = await act(cookie, `/console/messages/${seeded.dead}/retry`);
    expect([answer.status, answer.body]).toEqual([403, expect.stringContaining('this needs operate')]);
  });

  it('retry and cancel change the message, with the person, the reason and the way in the audit', async () => {
    const cookie = await signIn('oscar');
    const answer = await act(cookie, `/console/messages/${seeded.dead}/retry`, { reason: 'mended' });
    expect([answer.status, answer.headers['location']]).toEqual([303, `/console/messages/${seeded.dead}`]);
    expect((await viewMessage(database.db, seeded.dead)).status).toBe('pending');
    await act(cookie, `/console/messages/${seeded.dead}/cancel`);
    expect((await viewMessage(database.db, seeded.dead)).status).toBe('cancelled');
    const { acts } = await listActs(database.db, { target: seeded.dead });
    expect(acts.map(({ act: name, by, key, via, reason }) => [name, by, key, via, reason])).toEqual([
      ['message.cancel', 'oscar Example', 'oscar', 'console', null],
      ['message.retry', 'oscar Example', 'oscar', 'console', 'mended'],
    ]);
    const { body } = await send('GET', `/console/messages/${seeded.dead}`, { cookie });
    expect(body).toContain('“<bdi>mended</bdi>”');
  });

  it('what a state does not allow is refused with its reason', async () => {
    const cookie = await signIn('oscar');
    const answer = await act(cookie, `/console/messages/${seeded.delivered}/cancel`);
    expect([answer.status, answer.body]).toEqual([409, expect.stringContaining('is delivered')]);
  });

  it('only an admin looks into a message, and the audit says so', async () => {
    const url = `/console/messages/${seeded.waiting}/show`;
    expect((await act(await signIn('oscar'), url)).status).toBe(403);
    const { status, body } = await act(await signIn('ann'), url);
    expect(status).toBe(200);
    expect(body).toContain('&lt;b&gt;tea&lt;/b&gt;');
    const { acts } = await listActs(database.db, { act: ['message.show'], target: seeded.waiting });
    expect(acts).toMatchObject([{ by: 'ann Example', via: 'console' }]);
  });

  it('several selected messages are previewed, then retried one by one', async () => {
    const cookie = await signIn('oscar');
    const { body } = await send('GET', '/console/messages?status=dead', { cookie });
    const ids = [...body.matchAll(/name="id" value="([^"]+)"/g)].map(([, id]) => id!);
    expect(ids.length).toBeGreaterThan(1);
    const query = new URLSearchParams([
      ['act', 'retry'],
      ['id', seeded.delivered],
      ...ids.map((id): [string, string] => ['id', id]),
    ]);
    const preview = await send('GET', `/console/messages/selected?${query.toString()}`, { cookie });
    expect(preview.body).toContain(`Retry ${ids.length} messages?`);
    expect(preview.body).toContain('1 selected message is skipped');
    query.set('_token', tokenIn(preview.body));
    const done = await send('POST', '/console/messages/selected', { cookie, form: query.toString() });
    expect(done.status).toBe(303);
    const states = await Promise.all(ids.map(async (id) => (await viewMessage(database.db, id)).status));
    expect(new Set(states)).toEqual(new Set(['pending']));
  });

  it('queues are paused for a while, limited, reset and resumed; groups too', async () => {
    const cookie = await signIn('oscar');
    const acts: [string, Record<string, string>][] = [
      ['pause', { for: '2h', reason: 'a deploy' }],
      ['resume', {}],
      ['limit', { rate: '50/s', concurrency: '', perGroupConcurrency: '' }],
      ['reset', {}],
      ['groups/pause', { group: 'acme' }],
      ['groups/resume', { group: 'acme' }],
    ];
    for (const [name, fields] of acts) {
      const answer = await act(cookie, `/console/queues/events/${name}`, fields);
      expect([name, answer.status, answer.headers['location']]).toEqual([
        name,
        303,
        '/console/queues/events',
      ]);
    }
    const recorded = (await listActs(database.db, { target: 'events' })).acts.map(({ act: name }) => name);
    expect(recorded).toEqual([
      'group.resume',
      'group.pause',
      'queue.reset',
      'queue.limit',
      'queue.resume',
      'queue.pause',
    ]);
    expect((await act(cookie, '/console/queues/events/pause', { for: 'soon' })).status).toBe(400);
  });

  it('addresses are suppressed and released, and only an admin sees them whole', async () => {
    const [oscar, ann] = [await signIn('oscar'), await signIn('ann')];
    await act(oscar, '/console/suppressions/add', { address: 'gone@customers.example', reason: 'moved' });
    const pageOf = async (cookie: string) => (await send('GET', '/console/suppressions', { cookie })).body;
    expect(await pageOf(oscar)).toContain('g***@customers.example');
    expect(await pageOf(oscar)).not.toContain('gone@');
    expect(await pageOf(ann)).toContain('gone@customers.example');
    await act(oscar, '/console/suppressions/remove', { address: 'gone@customers.example' });
    expect(await pageOf(ann)).not.toContain('gone@');
  });
});
