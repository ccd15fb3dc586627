// One fleet over two databases on two Postgres servers: real processes, real HTTP, the real command line. One server is stopped and started again.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { startPostgres, type EmbeddedPostgres } from '../../src/dev/postgres.ts';
import { openDatabase, type Database } from '../../src/db/pool.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { waybill } from '../support/command.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testFleet, type Running, type TestFleet } from '../support/fleet.ts';
import { until } from '../support/wait.ts';

const key = 'admin-key-of-the-tests';
let eu: TestDatabase;
let server: EmbeddedPostgres;
let us: Database;
let fleet: TestFleet;
let env: Record<string, string>;
let web: string;
let whole: Running;

beforeAll(async () => {
  [eu, server] = await Promise.all([testDatabase({ migrated: false }), startPostgres({ persistent: false })]);
  const onIdleError = (): void => undefined; // the server is stopped by a test
  us = openDatabase({ url: server.url(), max: 2, applicationName: 'test', onIdleError });
  const port = String(await freePort());
  web = `http://127.0.0.1:${port}`;
  env = {
    WAYBILL_DATABASES: `eu=${eu.url}, us=${server.url()}`,
    WAYBILL_APP: 'test/support/shards-app.ts',
    WAYBILL_ADMIN_KEY: key,
    WAYBILL_LEASE: '2s',
    WAYBILL_POLL_INTERVAL: '200ms',
    HOST: '127.0.0.1',
    PORT: port,
  };
  fleet = testFleet(env);
});
afterAll(async () => {
  await fleet.end();
  await us.end();
  await Promise.all([eu.end(), server.end()]);
});

async function place(database: string, order: string): Promise<number> {
  const headers = { 'content-type': 'application/json', 'waybill-database': database };
  return (await fetch(`${web}/orders`, { method: 'POST', headers, body: JSON.stringify({ order }) })).status;
}

async function effects(db: Database, like: string): Promise<string[]> {
  const sql = 'select what from effects where what like $1 order by what';
  return (await db.executeSql<{ what: string }>(sql, [like])).rows.map(({ what }) => what);
}

const names = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}-${String(i).padStart(2, '0')}`);

const read = async <T>(path: string): Promise<T> =>
  (await (await fetch(web + path, { headers: { authorization: `Bearer ${key}` } })).json()) as T;

type Ready = {
  readonly ready: boolean;
  readonly checks: readonly { readonly name: string; readonly ok: boolean }[];
};

/** By name, whether each check of readiness is right. */
async function checks(): Promise<Record<string, boolean>> {
  const { ready, checks: all } = await read<Ready>('/readyz');
  return { ready, ...Object.fromEntries(all.map(({ name, ok }) => [name, ok])) };
}

it('release prepares every database and reports each; a job that names one is staged there alone', async () => {
  const { code, stdout, stderr } = await waybill(['release', '--json'], env);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  const { databases } = JSON.parse(stdout) as {
    databases: { database: string; applied: string[]; cron: { jobs: number } }[];
  };
  expect(databases.map(({ database, cron }) => [database, cron.jobs])).toEqual([
    ['eu', 1],
    ['us', 2],
  ]);
  expect(databases[1]!.applied).toEqual(databases[0]!.applied);
  for (const db of [eu.db, us]) await db.executeSql('create table effects (what text, at text)');
});

it('two names that lead to one database are refused, by a process and by release', async () => {
  const twice = { WAYBILL_DATABASES: `eu=${eu.url},us=${eu.url}?application_name=other` };
  const words = 'WAYBILL_DATABASES: eu and us are the same database: each name needs its own';
  const relay = fleet.launch('relay', twice);
  expect(await relay.ended).toBe(78);
  expect(String(relay.lines.at(-1)?.['msg'])).toContain(words);
  const { code, stderr } = await waybill(['release'], { ...env, ...twice });
  expect(code).toBe(78);
  expect(stderr).toContain(words);
});

it('B: one process delivers from both, each message in the database that has it', async () => {
  whole = await fleet.start('all');
  for (const one of ['work eu', 'work us'])
    await until(async () => (await checks())[one], { what: `the check ${one}` });
  for (const [i] of names('', 20).entries()) {
    expect(await place('eu', names('eu', 20)[i]!)).toBe(200);
    expect(await place('us', names('us', 20)[i]!)).toBe(200);
  }
  await until(async () => (await effects(eu.db, '%')).length === 20, { what: 'the work of eu' });
  await until(async () => (await effects(us, '%')).length === 20, { what: 'the work of us' });
  expect(await effects(eu.db, '%')).toEqual(names('eu', 20));
  expect(await effects(us, '%')).toEqual(names('us', 20));
  // What an action and a handler read in `ctx.database`.
  const places = async (db: Database) => (await db.executeSql('select distinct at from effects')).rows;
  expect([await places(eu.db), await places(us)]).toEqual([[{ at: 'eu eu' }], [{ at: 'us us' }]]);
});

it('the admin API, the metrics and the command line say which database they speak of', async () => {
  type Stats = { readonly byStatus: { readonly delivered: number } };
  expect((await read<Stats>('/admin/outbox/stats?database=us')).byStatus.delivered).toBe(20);
  const { messages } = await read<{ messages: { name: string }[] }>('/admin/outbox?limit=2&database=eu');
  expect(messages.map(({ name }) => name)).toEqual(['fulfil', 'fulfil']);
  expect(await read('/admin/outbox')).toMatchObject({ code: 'database_required', status: 400 });
  expect(await read('/admin/outbox?database=su')).toMatchObject({ code: 'unknown_database', status: 404 });
  const text = await (await fetch(`${web}/metrics`)).text();
  expect(text).toContain('waybill_processes{database="eu",role="web"} 1');
  expect(text).toContain('waybill_processes{database="us",role="web"} 1');
  expect(text.match(/^# HELP waybill_processes /gm)).toHaveLength(1);

  const [none, one, unknown, all, notThere] = await Promise.all([
    waybill(['outbox', 'list'], env),
    waybill(['outbox', 'stats', '--json', '--database', 'us'], env),
    waybill(['outbox', 'list', '--database', 'asia'], env),
    waybill(['fleet', '--json'], env),
    waybill(['cron', 'run', 'in-us', '--project-url', web, '--database', 'eu'], env),
  ]);
  expect([none.code, none.stderr]).toEqual([
    2,
    'waybill: there are several databases: choose one with --database eu or us (database_required)\n',
  ]);
  expect((JSON.parse(one.stdout) as Stats).byStatus.delivered).toBe(20);
  expect([unknown.code, unknown.stderr]).toEqual([
    2,
    'waybill: there is no database "asia"; there are eu, us (unknown_database)\n',
  ]);
  const { databases } = JSON.parse(all.stdout) as { databases: { database: string; processes: object[] }[] };
  expect(databases.map(({ database, processes }) => [database, processes.length])).toEqual([
    ['eu', 1],
    ['us', 1],
  ]);
  const run = await waybill(['cron', 'run', 'in-us', '--database', 'us'], env);
  expect(run.stderr).toBe('');
  await until(async () => (await effects(us, 'in-us')).length === 1, { what: 'the job of us' });
  expect([notThere.code, notThere.stderr]).toEqual([1, expect.stringContaining('(unknown_cron_job)')]);
});

it('6: a database that is away does not hold up the other, and is served again when it is back', async () => {
  await server.stop('immediate');
  await until(async () => !(await checks())['database us'], { what: 'the check of us' });
  expect(await checks()).toMatchObject({ ready: true, 'database eu': true, 'loops eu': true });
  const during = names('while-us-is-away', 10);
  for (const order of during) expect(await place('eu', order)).toBe(200);
  await until(async () => (await effects(eu.db, 'while%')).length === 10, { what: 'the work of eu' });
  expect(await place('us', 'refused')).toBe(503);
  await server.start();
  await until(async () => (await place('us', 'again')) === 200, { what: 'us to take orders' });
  await until(async () => (await effects(us, 'again')).length > 0, { what: 'the work of us' });
  expect(await effects(us, 'refused')).toEqual([]);
});

it('WAYBILL_DATABASE narrows a process to one', async () => {
  const narrow = await fleet.start('relay', { WAYBILL_DATABASE: 'us' });
  expect(await narrow.stop()).toBe(0);
  const started = narrow.lines.filter(({ msg }) => msg === 'relay: started');
  expect(started.map(({ database }) => database)).toEqual(['us']);
  const port = String(await freePort());
  const web = await fleet.start('web', { WAYBILL_DATABASE: 'us', PORT: port });
  const headers = { 'content-type': 'application/json', 'waybill-database': 'eu' };
  const other = await fetch(`http://127.0.0.1:${port}/orders`, {
    method: 'POST',
    headers,
    body: '{"order":"stray"}',
  });
  expect(other.status).toBe(421);
  expect(await effects(us, 'stray')).toEqual([]);
  expect(await web.stop()).toBe(0);
});

it('a process that starts while one is away works for the other, and takes that one in later', async () => {
  await server.stop('immediate');
  const late = await fleet.start('jobs');
  expect(late.lines.find(({ msg }) => msg === 'jobs: started')).toMatchObject({ database: 'eu' });
  await until(() => late.lines.some(({ database, level }) => database === 'us' && level === 'error'), {
    what: 'the line that says that us is left out',
  });
  await server.start();
  const started = (): boolean =>
    late.lines.some(({ msg, database }) => msg === 'jobs: started' && database === 'us');
  await until(started, { what: 'its work for us' });
  expect(await late.stop()).toBe(0);
  const life = late.lines.filter(({ msg }) => msg === 'set up' || msg === 'torn down');
  expect(life.map(({ msg }) => msg)).toEqual(['set up', 'torn down']);
});

describe('a process that is asked to end while one is away', () => {
  const processes = async (): Promise<unknown[]> =>
    (await eu.db.executeSql(`select role from waybill.processes where role = 'email'`)).rows;
  const ofBoth = (process: Running): boolean =>
    ['eu', 'us'].every((name) =>
      process.lines.some(({ msg, database }) => msg === `${process.role}: started` && database === name),
    );
  const ends = (process: Running): unknown[] =>
    process.lines.filter(({ msg }) => msg === 'torn down' || String(msg).endsWith(': stopped'));

  it('leaves the other, and ends well', async () => {
    const email = await fleet.start('email');
    await until(() => ofBoth(email), { what: 'its work for both' });
    await until(async () => (await processes()).length > 0, { what: 'its heartbeat' });
    await server.stop('immediate');
    try {
      expect(await email.stop()).toBe(0);
      expect(ends(email)).toHaveLength(2);
      expect(await processes()).toEqual([]);
      expect(email.lines.find(({ msg }) => /could not be left/.test(String(msg)))).toMatchObject({
        database: 'us',
      });
    } finally {
      await server.start();
    }
  });

  it('gives up what cannot be recorded there, at the end of the grace period', async () => {
    const jobs = await fleet.start('jobs', { WAYBILL_SHUTDOWN_GRACE: '6s' });
    await until(() => ofBoth(jobs), { what: 'its work for both' });
    expect(await whole.stop()).toBe(0);
    await createPostgresOutbox(us).enqueue({
      kind: 'job',
      name: 'slow',
      queue: 'jobs',
      payload: { ms: 1_000 },
    });
    await until(() => jobs.lines.some(({ msg }) => msg === 'slow begins'), { what: 'the delivery' });
    await server.stop('immediate');
    try {
      expect(await jobs.stop()).toBe(1);
      expect(ends(jobs)).toHaveLength(1);
      expect(JSON.stringify(jobs.lines.at(-1))).toContain('the work for the database us did not end');
      const { rows } = await eu.db.executeSql(`select role from waybill.processes where role = 'jobs'`);
      expect(rows).toEqual([]);
    } finally {
      await server.start();
    }
  });
});

it('10: verify reconciles every database, and names the one that it cannot reach', async () => {
  const whole = await waybill(['outbox', 'verify', '--json'], env);
  expect([whole.code, whole.stderr]).toEqual([0, '']);
  await server.stop('immediate');
  const { code, stdout, stderr } = await waybill(['outbox', 'verify'], env);
  expect(code).toBe(69);
  expect(stdout).toMatch(/^eu:\n/);
  expect(stderr).toContain('waybill: done: eu; failed: us\n');
  expect(stderr).toContain('WAYBILL_DATABASES (us)');
});
