// setup and teardown of an application in real processes: every role, `waybill run`, `waybill dev`, the drain route, the drain command and
// `email test`. The application writes what happens to it into a file; nothing is doubled.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { waybill, waybillCommand } from '../support/command.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testFleet, type Role, type Running, type TestFleet } from '../support/fleet.ts';
import { until } from '../support/wait.ts';

let database: TestDatabase;
let fleet: TestFleet;
let folder: string;
let file: string;

beforeAll(async () => {
  database = await testDatabase();
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-life-'));
  file = join(folder, 'life');
  fleet = testFleet(env());
});
afterEach(async () => {
  await fleet.end();
  await database.db.executeSql('truncate waybill.outbox_messages cascade');
  rmSync(folder, { recursive: true, force: true });
});
afterAll(() => database.end());

const env = (): Record<string, string> => ({
  DATABASE_URL: database.url,
  WAYBILL_APP: 'test/support/life-app.ts',
  WAYBILL_POLL_INTERVAL: '200ms',
  WAYBILL_CRON_SECRET: 'secret-of-cron',
  LIFE_FILE: file,
});

const life = (): string[] => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []);

async function enqueueWork(): Promise<void> {
  const message = { kind: 'job', name: 'work', queue: 'jobs', payload: {} } as const;
  await createPostgresOutbox(database.db).enqueue(message);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts what is expected to end by itself, and waits for that. */
async function ended(role: Role, more: Record<string, string>): Promise<Running> {
  const process = fleet.launch(role, more);
  await process.ended;
  return process;
}

const rowsOf = async (role: Role): Promise<object[]> =>
  (await database.db.executeSql<object>('select id from waybill.processes where role = $1', [role])).rows;

const lineOf = (lines: readonly Record<string, unknown>[], words: string): unknown =>
  lines.find(({ msg }) => typeof msg === 'string' && msg.includes(words));

describe('each process that loads the application', () => {
  it.each<[Role]>([['web'], ['jobs'], ['email'], ['scheduler'], ['all']])(
    '%s: is set up once before it takes work, and ends what was made once, at its end',
    async (role) => {
      const process = await fleet.start(role, { PORT: String(await freePort()) });
      expect(life()).toEqual(['setup', 'set up']);
      expect(await process.stop()).toBe(0);
      expect(life()).toEqual(['setup', 'set up', 'teardown']);
    },
  );

  it('relay loads no application: there is nothing to set up', async () => {
    const relay = await fleet.start('relay');
    expect(await relay.stop()).toBe(0);
    expect(life()).toEqual([]);
  });

  it('work that waited since before the start finds everything set up', async () => {
    await enqueueWork();
    const all = await fleet.start('all', { PORT: String(await freePort()) });
    await until(() => life().includes('work'), { what: 'the work' });
    expect(await all.stop()).toBe(0);
    expect(life()).toEqual(['setup', 'set up', 'work', 'teardown']);
  });
});

describe('a setup that fails', () => {
  it.each<[Role]>([['web'], ['jobs'], ['email'], ['scheduler'], ['all']])(
    '%s: ends the process with exit code 1 and its error, before any work, and what it made is ended',
    async (role) => {
      await enqueueWork();
      const process = await ended(role, { LIFE_SETUP: 'throws', PORT: String(await freePort()) });
      expect(await process.ended).toBe(1);
      expect(lineOf(process.lines, "the application's setup failed: setup found no key")).toMatchObject({
        level: 'fatal',
      });
      expect(life()).toEqual(['setup', 'teardown']);
    },
  );

  it('with something that is no Error ends the process in the same way', async () => {
    const jobs = await ended('jobs', { LIFE_SETUP: 'throws a text' });
    expect(await jobs.ended).toBe(1);
    expect(lineOf(jobs.lines, "the application's setup failed: setup found no key")).toBeDefined();
  });

  it('and a teardown that fails too does not hide it', async () => {
    const jobs = await ended('jobs', { LIFE_SETUP: 'throws', LIFE_TEARDOWN: 'throws' });
    expect(await jobs.ended).toBe(1);
    expect(lineOf(jobs.lines, 'setup found no key')).toMatchObject({ level: 'fatal' });
    expect(lineOf(jobs.lines, "the application's teardown failed")).toMatchObject({ level: 'error' });
  });
});

describe('the end', () => {
  it('a teardown that fails is logged, and the process exits as it would have', async () => {
    const jobs = await fleet.start('jobs', { LIFE_TEARDOWN: 'throws' });
    expect(await jobs.stop()).toBe(0);
    expect(lineOf(jobs.lines, "the application's teardown failed")).toMatchObject({ level: 'error' });
    expect(lineOf(jobs.lines, 'jobs: stopped')).toBeDefined();
  });

  it('a teardown that never ends has the grace period', async () => {
    const jobs = await fleet.start('jobs', { LIFE_TEARDOWN: 'never ends', WAYBILL_SHUTDOWN_GRACE: '1s' });
    expect(await jobs.stop()).toBe(1);
    expect(lineOf(jobs.lines, 'the grace period is over')).toBeDefined();
  });

  it('SIGTERM during a setup that never ends has the grace period, and no work is begun', async () => {
    await enqueueWork();
    const jobs = fleet.launch('jobs', { LIFE_SETUP: 'never ends', WAYBILL_SHUTDOWN_GRACE: '1s' });
    await until(() => life().includes('setup'), { what: 'setup' });
    expect(await jobs.stop()).toBe(1);
    expect(life()).toEqual(['setup']);
  });

  it('SIGTERM during a setup that then ends: no work is begun, what was set up is ended, exit code 0', async () => {
    await enqueueWork();
    const jobs = fleet.launch('jobs', { LIFE_SETUP: 'waits for a file' });
    await until(() => life().includes('setup'), { what: 'setup' });
    jobs.kill('SIGTERM');
    await until(() => lineOf(jobs.lines, 'stopping'), { what: 'the signal to arrive' });
    writeFileSync(`${file}.go`, '');
    expect(await jobs.ended).toBe(0);
    expect(life()).toEqual(['setup', 'set up', 'teardown']);
  });

  it('when a part cannot start, what was set up is ended, once', async () => {
    const taken = createServer().listen(0, '::');
    await once(taken, 'listening');
    const port = String((taken.address() as AddressInfo).port);
    const web = await ended('web', { PORT: port });
    taken.close();
    expect(await web.ended).toBe(1);
    expect(life()).toEqual(['setup', 'set up', 'teardown']);
    expect(lineOf(web.lines, 'EADDRINUSE')).toBeDefined();
    expect(await rowsOf('web')).toEqual([]);
  });
});

describe('other ways to run the application', () => {
  it('waybill run with several roles: one process, set up once', async () => {
    const child = spawn(process.execPath, [...waybillCommand, 'run', 'web', 'jobs', 'scheduler'], {
      env: { PATH: process.env['PATH'], PORT: String(await freePort()), ...env() },
      stdio: 'ignore',
    });
    const closed = once(child, 'close');
    await enqueueWork();
    await until(() => life().includes('work'), { what: 'the work' });
    child.kill('SIGTERM');
    expect(await closed).toEqual([0, null]);
    expect(life()).toEqual(['setup', 'set up', 'work', 'teardown']);
  });

  it('waybill dev: its process is set up once, and ended once', async () => {
    const child = spawn(process.execPath, [...waybillCommand, 'dev'], {
      env: { PATH: process.env['PATH'], PORT: String(await freePort()), ...env() },
      stdio: 'ignore',
    });
    const closed = once(child, 'close');
    await enqueueWork();
    await until(() => life().includes('work'), { what: 'the work' });
    child.kill('SIGTERM');
    expect(await closed).toEqual([0, null]);
    expect(life()).toEqual(['setup', 'set up', 'work', 'teardown']);
  });

  it('the drain route of web stands on what its process has set up', async () => {
    const port = await freePort();
    const web = await fleet.start('web', { PORT: String(port) });
    await enqueueWork();
    const response = await until(
      () =>
        fetch(`http://127.0.0.1:${port}/cron/outbox/drain`, {
          headers: { authorization: 'Bearer secret-of-cron' },
        }),
      { what: 'web to listen' },
    );
    expect(await response.json()).toMatchObject({ delivered: 1 });
    expect(await web.stop()).toBe(0);
    expect(life()).toEqual(['setup', 'set up', 'work', 'teardown']);
  });

  it('outbox drain: set up before the batch, ended after it', async () => {
    await enqueueWork();
    const { code, stdout } = await waybill(['outbox', 'drain', '--json'], env());
    expect({ code, report: JSON.parse(stdout) as unknown }).toMatchObject({
      code: 0,
      report: { delivered: 1 },
    });
    expect(life()).toEqual(['setup', 'set up', 'work', 'teardown']);
  });

  it('outbox drain: a setup that fails ends it with exit code 1 and its error, and nothing is claimed', async () => {
    await enqueueWork();
    const { code, stdout, stderr } = await waybill(['outbox', 'drain'], { ...env(), LIFE_SETUP: 'throws' });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain("the application's setup failed: setup found no key");
    expect(life()).toEqual(['setup', 'teardown']);
  });

  it("email test, where it sends by itself, sets the application's provider up", async () => {
    const { code } = await waybill(['email', 'test', 'ann@customers.example'], {
      ...env(),
      WAYBILL_EMAIL_FROM: 'shop@shop.example',
    });
    expect(code).toBe(0);
    expect(life()).toEqual(['setup', 'set up', 'email', 'teardown']);
  });
});
