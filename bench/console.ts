// The benchmark of the console: every page, every token of the search and every list of the admin API on two million messages. A part's `first` is its
// first request after a start of Postgres; the other figures are of requests that follow.

import { readAdminKeys } from '../src/config/admin-keys.ts';
import { script, style } from '../src/console/assets.ts';
import { sealSession } from '../src/console/session.ts';
import { activate, report } from '../src/cron/activation.ts';
import { manifestOf, stageManifest } from '../src/cron/manifest.ts';
import { createZones } from '../src/cron/zones.ts';
import type { Executor } from '../src/db/executor.ts';
import { openDatabase } from '../src/db/pool.ts';
import { testWeb, type TestWeb } from '../test/support/web.ts';
import app from '../app/index.ts';
import { casesOf, orderOf, readFacts, type Case } from './console-cases.ts';
import { tell } from './progress.ts';
import { median } from './rounds.ts';
import { openShop } from './shop.ts';

const keysText = 'ann:admin:key-of-the-benchmark';
const [key] = readAdminKeys('WAYBILL_ADMIN_KEYS', keysText, 1, () => undefined);

type Figures = {
  readonly median: number;
  readonly worst: number;
  readonly first: number;
  readonly statements: number;
  /** Milliseconds in Postgres of one request, and of the longest statement. */
  readonly inPostgres: number;
  readonly longest: number;
  readonly kb: number;
  /** Why it is no answer; null: it is one. */
  readonly refused: string | null;
};

export type ConsoleOptions = {
  readonly messages?: number | undefined;
  readonly rounds?: number | undefined;
  /** Only cases whose names hold this text. */
  readonly only?: string | undefined;
};

/** What issue 22 and docs/performance.md hold the console to, in milliseconds and KB. */
const wanted = { page: 300, search: 100, statement: 2_000, kb: 150 };
const quick = /^(to|tag|prefix|key):/;

export async function consolePages({ messages, rounds = 20, only = '' }: ConsoleOptions = {}) {
  const shop = await openShop({ messages });
  const url = await shop.copy('console');
  const env = { WAYBILL_ADMIN_KEY: undefined, WAYBILL_ADMIN_KEYS: keysText };
  const assetsKb = (script.text.length + style.text.length) / 1_000;
  try {
    let web = testWeb(app, url, env);
    await release(web);
    const order = orderOf(shop.messages);
    const cases = casesOf(await routesOf(web), await readFacts(web.host.db, order), order).filter(
      ({ name }) => name.includes(only),
    );
    await web.end();
    await shop.server.restart();
    web = testWeb(app, url, env);
    const measured: Record<string, Figures> = {};
    const first = new Map<string, number>();
    for (const one of cases) first.set(one.name, (await ask(web, one)).ms);
    const statistics = openDatabase({
      url: shop.server.url(),
      max: 1,
      applicationName: 'bench',
      onIdleError: () => undefined,
    });
    for (const one of cases) {
      measured[one.name] = await measure(web, statistics, one, rounds, first.get(one.name)!, assetsKb);
      tell(
        `${one.name}: ${measured[one.name]!.median.toFixed(1)} ms, ${measured[one.name]!.inPostgres.toFixed(1)} in Postgres`,
      );
    }
    await statistics.end();
    await web.end();
    return { messages: shop.messages, rounds, assetsKb, pages: measured, missed: missedOf(measured) };
  } finally {
    await shop.drop('console');
    await shop.end();
  }
}

/** Schedules the application's cron jobs, which have pages. */
async function release({ host: { db, id } }: TestWeb): Promise<void> {
  const manifest = manifestOf(app);
  await stageManifest(db, manifest);
  await report(db, manifest, { process: id, delivers: true });
  await activate(db, manifest, createZones());
}

/** It answers with events as long as its connection is open. */
const endless = '/admin/events';

async function routesOf({ server }: TestWeb): Promise<string[]> {
  const { paths } = JSON.parse((await get(server, '/admin/openapi.json')).body) as {
    paths: Record<string, object>;
  };
  return Object.entries(paths).flatMap(([path, methods]) =>
    'get' in methods && path !== endless ? [path] : [],
  );
}

function get(server: TestWeb['server'], url: string) {
  const cookie = `waybill_console=${sealSession(key!, 'Ann', Date.now())}`;
  return server.inject({
    method: 'GET',
    url,
    headers: { cookie, authorization: 'Bearer key-of-the-benchmark' },
  });
}

type Answer = { readonly ms: number; readonly bytes: number; readonly refused: string | null };

async function ask({ server }: TestWeb, { url }: Case): Promise<Answer> {
  const began = performance.now();
  const { statusCode, body } = await get(server, url);
  const ms = performance.now() - began;
  const refused =
    statusCode === 200
      ? null
      : `answered ${statusCode}${/<h1>[^]*?<\/main>|"detail":.*/.exec(body)?.[0].slice(0, 300) ?? ''}`;
  return { ms, bytes: Buffer.byteLength(body), refused };
}

const resetSql = 'select pg_stat_statements_reset()';
const readSql = `
  select sum(calls)::float8 as calls, sum(total_exec_time)::float8 as ms, max(max_exec_time)::float8 as longest
    from pg_stat_statements s join pg_database d on d.oid = s.dbid
   where d.datname = 'console' and toplevel and query !~* '^(begin|commit|rollback|set)'`;

async function measure(
  web: TestWeb,
  statistics: Executor,
  one: Case,
  rounds: number,
  first: number,
  assetsKb: number,
): Promise<Figures> {
  await statistics.executeSql(resetSql);
  const times: number[] = [];
  let answer: Answer | undefined;
  while (times.length < rounds) times.push((answer = await ask(web, one)).ms);
  const [row] = (await statistics.executeSql<{ calls: number; ms: number; longest: number }>(readSql)).rows;
  return {
    median: median(times),
    worst: Math.max(...times),
    first,
    statements: row!.calls / rounds,
    inPostgres: row!.ms / rounds,
    longest: row!.longest,
    kb: answer!.bytes / 1_000 + (one.url.startsWith('/console') ? assetsKb : 0),
    refused: answer!.refused,
  };
}

function missedOf(measured: Readonly<Record<string, Figures>>): string[] {
  return Object.entries(measured).flatMap(([name, { median: ms, longest, kb, refused }]) => [
    ...(refused === null ? [] : [`${name} ${refused}`]),
    ...(ms > (quick.test(name) ? wanted.search : wanted.page) ? [`${name}: ${ms.toFixed(0)} ms`] : []),
    ...(longest > wanted.statement ? [`${name}: a statement of ${longest.toFixed(0)} ms`] : []),
    ...(kb > wanted.kb && !name.startsWith('/admin') ? [`${name}: ${kb.toFixed(0)} KB`] : []),
  ]);
}
