// Event streams over HTTP, of /admin and of the console, and what a page costs. Real: a Postgres with pg_stat_statements, and the web server.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startPostgres, type EmbeddedPostgres } from '../../src/dev/postgres.ts';
import { readAdminKeys } from '../../src/config/admin-keys.ts';
import { pages } from '../../src/console/pages.ts';
import { sealSession } from '../../src/console/session.ts';
import { migrate, standardSources } from '../../src/db/migrate.ts';
import { openDatabase, type Database } from '../../src/db/pool.ts';
import { defineApp } from '../../src/index.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { seed } from '../support/console-seed.ts';
import { until } from '../support/wait.ts';
import { testWeb, type TestWeb } from '../support/web.ts';

const keysText = 'ann:admin:key-of-ann';
const [key] = readAdminKeys('WAYBILL_ADMIN_KEYS', keysText, 1, () => undefined);

let postgres: EmbeddedPostgres;
let db: Database;
let web: TestWeb;
let base: string;
beforeAll(async () => {
  const settings = { shared_preload_libraries: 'pg_stat_statements', fsync: 'off' };
  postgres = await startPostgres({ persistent: false, settings });
  const common = { max: 4, applicationName: 'waybill-test', onIdleError: () => undefined };
  const first = openDatabase({ url: postgres.url(), ...common });
  await first.executeSql('create database events');
  await first.end();
  db = openDatabase({ url: postgres.url('events'), ...common });
  await migrate(db, standardSources('app/index.ts'));
  await db.executeSql('create extension pg_stat_statements schema public');
  await db.executeSql(`create role of_web superuser login password 'w'`);
  await seed(db);
  const url = new URL(postgres.url('events'));
  [url.username, url.password] = ['of_web', 'w'];
  const env = { WAYBILL_ADMIN_KEY: undefined, WAYBILL_ADMIN_KEYS: keysText };
  web = testWeb(defineApp({}), url.href, env);
  base = await web.server.listen({ port: 0, host: '127.0.0.1' });
});
afterAll(async () => {
  await web.end();
  await db.end();
  await postgres.end();
});

/** Statements of web since the last call. */
async function statements(): Promise<number> {
  const sql = `select coalesce(sum(calls), 0)::int as n from public.pg_stat_statements s join pg_catalog.pg_roles r on r.oid = s.userid where rolname = 'of_web'`;
  const [row] = (await db.executeSql<{ n: number }>(sql)).rows;
  await db.executeSql('select public.pg_stat_statements_reset()');
  return row!.n;
}

/** No connection of web has sent anything for longer than the second between two looks. */
async function webIsIdle(): Promise<boolean> {
  const sql = `select coalesce(bool_and(state = 'idle' and state_change < clock_timestamp() - interval '1500 milliseconds'), true) as idle
                 from pg_catalog.pg_stat_activity where usename = 'of_web'`;
  return (await db.executeSql<{ idle: boolean }>(sql)).rows[0]!.idle;
}

const cookie = (): string => `waybill_console=${sealSession(key!, 'Ann', Date.now())}`;

type Stream = {
  readonly status: number;
  readonly type: string | null;
  text(): string;
  end(): void;
  readonly over: Promise<void>;
};

async function open(path: string, headers: Record<string, string>): Promise<Stream> {
  const stop = new AbortController();
  const answer = await fetch(`${base}${path}`, { headers, signal: stop.signal });
  let text = '';
  const over = (async () => {
    const decoder = new TextDecoder();
    try {
      for await (const part of answer.body!) text += decoder.decode(part as Uint8Array, { stream: true });
    } catch {
      // this test ended it
    }
  })();
  const type = answer.headers.get('content-type');
  return { status: answer.status, type, text: () => text, end: () => stop.abort(), over };
}

const enqueue = (): Promise<unknown> =>
  createPostgresOutbox(db).enqueue({ kind: 'job', name: 'fresh', queue: 'jobs', payload: {} });

describe('the stream of /admin', () => {
  const headers = { authorization: 'Bearer key-of-ann' };

  it('says what has changed, within a second or two', async () => {
    const stream = await open('/admin/events', headers);
    expect([stream.status, stream.type]).toEqual([200, 'text/event-stream; charset=utf-8']);
    await until(() => stream.text().includes('event: same'), { what: 'the first event' });
    await enqueue();
    await until(() => stream.text().includes('"changed":["recorded"'), { what: 'the change' });
    expect(stream.text()).toMatch(/^retry: 2000\n\n(?:event: \w+\ndata: \{"at":"[^"]+"[^\n]*\}\n\n)+$/);
    stream.end();
    await stream.over;
  });

  it('needs a key, takes no parameter, and has no body for HEAD', async () => {
    expect((await fetch(`${base}/admin/events`)).status).toBe(401);
    expect((await fetch(`${base}/admin/events?x=1`, { headers })).status).toBe(400);
    expect((await fetch(`${base}/admin/events`, { method: 'HEAD', headers })).status).toBe(405);
  });
});

describe('the stream of a page', () => {
  it('needs a session, ends when that is signed out, and a fifth one of it is refused', async () => {
    expect((await fetch(`${base}/console/events?cost=1`)).status).toBe(401);
    const headers = { cookie: cookie() };
    const streams = await Promise.all(
      Array.from({ length: 4 }, () => open('/console/events?cost=1', headers)),
    );
    const fifth = await fetch(`${base}/console/events?cost=1`, { headers });
    expect([fifth.status, await fifth.text()]).toEqual([503, expect.stringContaining('4 open streams')]);
    const [token = ''] = /(?<=name="_token" value=")[^"]+/.exec(
      await (await fetch(`${base}/console`, { headers })).text(),
    )!;
    await fetch(`${base}/console/sign-out`, {
      method: 'POST',
      headers,
      body: new URLSearchParams({ _token: token }),
      redirect: 'manual',
    });
    await Promise.all(streams.map(({ over }) => over));
  });

  it('tells a change that came between the page and the stream', async () => {
    const headers = { cookie: cookie() };
    const page = await (await fetch(`${base}/console/messages`, { headers })).text();
    const [, seen = ''] = /data-seen="([^"]+)" data-cost="\d+"/.exec(page)!;
    await enqueue();
    const stream = await open(`/console/events?seen=${seen}&cost=1`, headers);
    await until(() => stream.text().includes('"changed":["recorded"'), { what: 'the change' });
    stream.end();
    await stream.over;
  });

  it('every page says how many statements it takes', async () => {
    const headers = { cookie: cookie() };
    const paths = pages.map(({ path }) => path).filter((path) => !/[:]|selected|\/new$/.test(path));
    expect(paths.length).toBeGreaterThan(6);
    const costs: [string, number][] = [];
    for (const path of paths) {
      await statements();
      const page = await (await fetch(`${base}${path}`, { headers })).text();
      const [, cost] = /data-cost="(\d+)"/.exec(page) ?? [];
      if (cost !== undefined) costs.push([path, Number(cost) - (await statements())]);
    }
    expect(costs).toEqual(costs.map(([path]) => [path, 0]));
  });

  it('costs one statement a second at most while nothing changes, and without a page none', async () => {
    await until(async () => (await statements()) === 0, { what: 'no open stream' });
    const began = performance.now();
    const stream = await open('/console/events?cost=1', { cookie: cookie() });
    await statements();
    const looks = (): number => stream.text().split('event: same').length - 1;
    await until(() => looks() >= 2, { what: 'several seconds without a change' });
    expect(await statements()).toBeLessThanOrEqual((performance.now() - began) / 1_000 + 1);
    stream.end();
    await stream.over;
    await until(webIsIdle, { what: 'connections of web that have been idle for longer than a look' });
  });
});

it('open streams do not hold up the end of the server', async () => {
  const headers = { authorization: 'Bearer key-of-ann' };
  const streams = await Promise.all([open('/admin/events', headers), open('/admin/events', headers)]);
  const before = performance.now();
  await web.server.close();
  expect(performance.now() - before).toBeLessThan(2_000);
  await Promise.all(streams.map(({ over }) => over));
});
