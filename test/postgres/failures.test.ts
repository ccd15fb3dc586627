// Failures in groups, and their mutes, over HTTP, on the command line's functions and in the console. Real: Postgres and the web server.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineApp } from '../../src/index.ts';
import { listActs } from '../../src/operate/audit.ts';
import { groupFailures, type FailureGroup } from '../../src/operate/failures.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { consoleEnv, consoleOf } from '../support/console-people.ts';
import { seed } from '../support/console-seed.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testWeb, type TestWeb } from '../support/web.ts';

let database: TestDatabase;
let web: TestWeb;
const { send, signIn, act } = consoleOf(() => web);
beforeAll(async () => {
  database = await testDatabase();
  await seed(database.db);
  web = testWeb(defineApp({}), database.url, consoleEnv);
});
afterAll(async () => {
  await web.end();
  await database.end();
});

async function die(count: number, name: string, error: (i: number) => string): Promise<void> {
  const outbox = createPostgresOutbox(database.db);
  for (let i = 0; i < count; i++) {
    const { id } = await outbox.enqueue({ kind: 'job', name, queue: 'jobs', payload: {} });
    const worker = { leaseMs: 60_000, workerId: 'host-2:4002:abc' };
    const [one] = await outbox.claimBatch({ limit: 1, ids: [id], ...worker });
    await outbox.markFailed(one!.id, one!.claimToken, error(i), { permanent: true });
  }
}

const groupOf = async (name: string, window: '1h' | '24h' | '7d' = '24h'): Promise<FailureGroup> =>
  (await groupFailures(database.db, window)).groups.find((group) => group.name === name)!;

async function call(method: 'GET' | 'POST', path: string, payload?: object, key = 'key-of-oscar') {
  const headers = { authorization: `Bearer ${key}` };
  const answer = await web.server.inject({
    method,
    url: `/admin${path}`,
    headers,
    ...(payload && { payload }),
  });
  return { status: answer.statusCode, body: answer.json<Record<string, unknown>>() };
}

describe('failures', () => {
  it('of the same error, name and cause are one group, with its course, samples and versions', async () => {
    await die(3, 'export', (i) => `export of customer ${i} to bob${i}@shop.example: no route`);
    const { body } = await call('GET', '/outbox/failures?window=1h&name=export', undefined, 'key-of-rita');
    expect(body).toMatchObject({ window: '1h', rest: { groups: 0, count: 0 }, bound: { reached: false } });
    const [group] = body['groups'] as FailureGroup[];
    expect(group).toMatchObject({
      error: 'export of customer # to …@shop.example: no route',
      name: 'export',
      kind: 'job',
      cause: 'permanent',
      count: 3,
      dead: 3,
      versions: ['v214'],
      errorContains: '@shop.example: no route',
      muted: null,
      isMuted: false,
    });
    expect(group!.bars.reduce((sum, n) => sum + n, 0)).toBe(3);
    expect([group!.bars.length, group!.bars.at(-1), group!.sampleIds.length]).toEqual([30, 3, 3]);
  });

  it('are muted until they have more than doubled, with person and reason, and unmuted', async () => {
    await die(1, 'flaky', () => 'flaky: reset');
    const { key } = await groupOf('flaky');
    const path = `/outbox/failures/${key}`;
    expect((await call('POST', `${path}/mute`, {}, 'key-of-rita')).status).toBe(403);
    const muted = await call('POST', `${path}/mute`, { reason: 'known, ann@shop.example looks' });
    expect(muted).toEqual({ status: 200, body: { key, isMuted: true } });
    await die(1, 'flaky', () => 'flaky: reset');
    expect(await groupOf('flaky')).toMatchObject({
      isMuted: true,
      muted: {
        by: 'oscar',
        reason: 'known, a***@shop.example looks',
        counts: { '1h': 1, '24h': 1, '7d': 1 },
      },
    });
    await die(1, 'flaky', () => 'flaky: reset');
    expect(await groupOf('flaky')).toMatchObject({ count: 3, isMuted: false });
    expect(await call('POST', `${path}/mute`)).toMatchObject({ status: 200 });
    expect((await groupOf('flaky')).isMuted).toBe(true);
    expect(await call('POST', `${path}/unmute`)).toMatchObject({ status: 200, body: { isMuted: false } });
    expect((await call('POST', `${path}/unmute`)).status).toBe(404);
    expect((await call('POST', '/outbox/failures/0123456789ab/mute')).status).toBe(404);
    expect((await call('POST', `${path}/mute`, { reson: 'x' })).status).toBe(400);
    const { acts } = await listActs(database.db, { target: key });
    expect(acts.map(({ act: name }) => name)).toEqual(['failures.unmute', 'failures.mute', 'failures.mute']);
  });

  it('in the console lead to the preview of a bulk act, and fold away when they are muted', async () => {
    await die(2, 'report', (i) => `the report ${i} is too large`);
    const cookie = await signIn('oscar');
    const page = async (): Promise<string> => (await send('GET', '/console/failures', { cookie })).body;
    const { key } = await groupOf('report');
    const link = new RegExp(`href="([^"]*action=retry[^"]*name%3Areport[^"]*)"`).exec(await page())![1]!;
    const preview = await send('GET', link.replaceAll('&amp;', '&'), { cookie });
    expect(preview.body).toContain('Retry 2 messages?');
    const muted = await act(cookie, `/console/failures/${key}/mute`, { reason: 'the disk is ordered' });
    expect(muted.status).toBe(303);
    const [shown, folded] = (await page()).split('id="muted"');
    expect(shown).not.toContain('the report # is too large');
    expect(folded).toContain('the report # is too large');
    expect(folded).toContain('“<bdi>the disk is ordered</bdi>”');
    await act(cookie, `/console/failures/${key}/unmute`);
    expect(await page()).not.toContain('id="muted"');
  });

  it('with errors without a common part are found by name and cause', async () => {
    await die(1, 'odd', () => '12345');
    const { errorContains } = await groupOf('odd');
    expect(errorContains).toBeNull();
    const cookie = await signIn('oscar');
    expect((await send('GET', '/console/failures', { cookie })).body).toContain(
      'q=status%3Adead+name%3Aodd+cause%3Apermanent+died%3A24h',
    );
  });
});
