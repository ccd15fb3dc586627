// How processes end when they are asked to, once or twice, alone or as a group: real processes, a real database.

import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { until } from '../support/wait.ts';

let world: World;
const groups: ChildProcess[] = [];
beforeEach(async () => {
  world = await fleetWorld();
});
afterEach(async () => {
  for (const child of groups.splice(0)) killGroup(child, 'SIGKILL');
  await world.end();
});

type Row = { status: string; attempts: number };
async function row(): Promise<Row> {
  const { rows } = await world.database.db.executeSql<Row>(
    'select status, attempts from waybill.outbox_messages',
  );
  return rows[0]!;
}

async function forget(): Promise<void> {
  await world.database.db.executeSql(
    `update waybill.outbox_messages set status = 'cancelled', cancelled_at = now()`,
  );
}

const processes = (): Promise<number> => world.count('select count(*)::int as n from waybill.processes');
const began = async (id: string): Promise<boolean> => (await world.marks('begin')).has(id);

describe('a process that is asked to end', () => {
  it('D: a second SIGTERM a while after the first releases what runs at once, and uses up no attempt', async () => {
    await world.fleet.start('relay');
    const worker = await world.fleet.start('jobs', { WAYBILL_SHUTDOWN_GRACE: '10m' });
    const [id] = await world.enqueue('stubborn', { ms: 600_000 });
    await until(() => began(id!), { what: 'the delivery to begin' });
    worker.kill('SIGTERM');
    const asked = Date.now();
    const said = (msg: string): boolean => worker.lines.some((line) => String(line['msg']).startsWith(msg));
    await until(() => said('stopping'), { what: 'the first signal to be heard' });
    await until(() => Date.now() - asked > 1_500, { what: 'more than a second to pass' });
    worker.kill('SIGTERM');
    expect(await worker.ended).toBe(0);
    expect(await row()).toEqual({ status: 'pending', attempts: 0 });
    expect(said('asked again')).toBe(true);
    await forget();
  });

  it('D: two signals at once are one request: what runs is finished', async () => {
    await world.fleet.start('relay');
    const worker = await world.fleet.start('jobs');
    const [id] = await world.enqueue('stubborn', { ms: 1_500 });
    await until(() => began(id!), { what: 'the delivery to begin' });
    worker.kill('SIGINT');
    worker.kill('SIGTERM');
    expect(await worker.ended).toBe(0);
    expect(await row()).toEqual({ status: 'delivered', attempts: 1 });
  });

  it('D: under load no process logs an error when it is asked to end, and none is left in the fleet', async () => {
    const first = [
      await world.fleet.start('relay'),
      await world.fleet.start('jobs'),
      await world.fleet.start('jobs'),
    ];
    let recording = true;
    const load = (async () => {
      while (recording) await world.enqueue('work', { ms: 5 }, 5);
    })();
    await until(async () => (await world.marks('work')).size > 100, { what: 'work under way' });
    expect(await Promise.all(first.map((one) => one.stop()))).toEqual([0, 0, 0]);
    recording = false;
    await load;
    const errors = first.flatMap(({ lines }) =>
      lines.filter((line) => Number(line['level']) >= 50 || line['stderr']),
    );
    expect(errors).toEqual([]);
    expect(await processes()).toBe(0);
    const lost = `select count(*)::int as n from waybill.outbox_messages where status = 'sending' or attempts > 1`;
    expect(await world.count(lost)).toBe(0);
    await world.fleet.start('relay');
    await world.fleet.start('jobs');
    await world.quiet();
  });
});

/** A process that leads a group of its own, as a shell starts it in a terminal. */
function inGroup(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): ChildProcess & { said: string } {
  const child = spawn(command, args, {
    cwd: fileURLToPath(new URL('../../', import.meta.url)),
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const seen = Object.assign(child, { said: '' });
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data: Buffer) => (seen.said += String(data)));
  groups.push(child);
  return seen;
}

/** As a terminal does with Ctrl-C. */
function killGroup({ pid, exitCode, signalCode }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined || exitCode !== null || signalCode !== null) return;
  process.kill(-pid, signal);
}

const ended = (child: ChildProcess): Promise<number | NodeJS.Signals> =>
  new Promise((resolve) => child.once('close', (code, signal) => resolve(code ?? signal ?? -1)));

describe('Ctrl-C in a terminal', () => {
  it('`waybill dev` finishes what runs, and leaves no process in the fleet', async () => {
    const port = String(await freePort());
    const dev = inGroup(process.execPath, ['--import', 'tsx', 'src/cli/main.ts', 'dev'], {
      DATABASE_URL: world.database.url,
      WAYBILL_APP: 'test/support/fleet-app.ts',
      WAYBILL_POLL_INTERVAL: '200ms',
      PORT: port,
    });
    const end = ended(dev);
    await until(async () => (await processes()) === 1, {
      what: `the fleet to run; it said ${dev.said}`,
      timeoutMs: 60_000,
    });
    const [id] = await world.enqueue('stubborn', { ms: 2_000 });
    await until(() => began(id!), { what: 'the delivery to begin' });
    killGroup(dev, 'SIGINT');
    expect(await end, dev.said).toBe(0);
    expect(await row()).toEqual({ status: 'delivered', attempts: 1 });
    expect(await processes()).toBe(0);
    expect(dev.said).toContain('stopped');
  });

  it('twice at `waybill dev` releases what runs', async () => {
    const dev = inGroup(process.execPath, ['--import', 'tsx', 'src/cli/main.ts', 'dev'], {
      DATABASE_URL: world.database.url,
      WAYBILL_APP: 'test/support/fleet-app.ts',
      WAYBILL_SHUTDOWN_GRACE: '10m',
      PORT: String(await freePort()),
    });
    const end = ended(dev);
    await until(async () => (await processes()) === 1, { what: 'the fleet to run', timeoutMs: 60_000 });
    const [id] = await world.enqueue('stubborn', { ms: 600_000 });
    await until(() => began(id!), { what: 'the delivery to begin' });
    killGroup(dev, 'SIGINT');
    const asked = Date.now();
    await until(() => dev.said.includes('stopping') && Date.now() - asked > 1_500, {
      what: 'the first to be heard',
    });
    killGroup(dev, 'SIGINT');
    expect(await end, dev.said).toBe(0);
    expect(await row()).toEqual({ status: 'pending', attempts: 0 });
    expect(await processes()).toBe(0);
    await forget();
  });

  it('`npm run dev` finishes what runs, and leaves no process in the fleet', async () => {
    const dev = inGroup('npm', ['run', 'dev'], {
      DATABASE_URL: world.database.url,
      WAYBILL_APP: 'test/support/fleet-app.ts',
      PORT: String(await freePort()),
    });
    const end = ended(dev);
    await until(async () => (await processes()) === 1, {
      what: `the fleet to run; it said ${dev.said}`,
      timeoutMs: 90_000,
    });
    const [id] = await world.enqueue('stubborn', { ms: 2_000 });
    await until(() => began(id!), { what: 'the delivery to begin' });
    killGroup(dev, 'SIGINT');
    await end;
    await until(async () => (await processes()) === 0, { what: 'all processes to leave' });
    expect(await row()).toEqual({ status: 'delivered', attempts: 1 });
  }, 180_000);
});
