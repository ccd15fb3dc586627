// The commands of deploy/kubernetes/, run as the platform runs them: release first, each process with the image's environment, a new version
// beside the old one, then SIGTERM and no more than the grace period. Real: Postgres, pg-boss, every process. The other platforms run the same
// commands (test/docs/deploy.test.ts).

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, expect, it } from 'vitest';
import { compileCache, waybill, waybillCommand } from '../support/command.ts';
import { platforms, type DeployedProcess } from '../support/deploy.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { until } from '../support/wait.ts';

type Pod = { readonly name: string; readonly health: string; stop(): Promise<number | string | null> };

let world: World | undefined;
const pods: Pod[] = [];
afterEach(async () => {
  await Promise.all(pods.splice(0).map((pod) => pod.stop()));
  await world?.end();
});

const { processes } = platforms().find(({ name }) => name === 'kubernetes')!;
const release = processes.find(({ args }) => args[0] === 'release')!;
const lasting = processes.filter((one) => one !== release);

/** What the image and the manifests set, but for addresses and ports: here all pods share a host. */
async function environment(databaseUrl: string): Promise<Record<string, string> & { METRICS_PORT: string }> {
  return {
    NODE_ENV: 'production',
    DATABASE_URL: databaseUrl,
    PORT: String(await freePort()),
    METRICS_PORT: String(await freePort()),
    HOST: '127.0.0.1',
    WAYBILL_APP: 'test/support/fleet-app.ts',
    WAYBILL_EMAIL_FROM: 'shop@a.test',
    LOG_LEVEL: 'error',
  };
}

async function start({ name, args, grace }: DeployedProcess, databaseUrl: string): Promise<Pod> {
  const env = await environment(databaseUrl);
  const child = spawn(process.execPath, [...waybillCommand, ...args], {
    env: { PATH: process.env['PATH'], ...compileCache, ...env },
    stdio: 'ignore',
  });
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  return {
    name,
    health: `http://127.0.0.1:${env.METRICS_PORT}`,
    async stop() {
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), grace * 1_000);
      const [code, signal] = await closed;
      clearTimeout(late);
      return signal ?? code;
    },
  };
}

/** As a rolling deployment does it: the release to its end, then pods, each until it is ready. */
async function deploy(databaseUrl: string): Promise<Pod[]> {
  const { code, stderr } = await waybill(release.args, await environment(databaseUrl));
  expect(code, stderr).toBe(0);
  const started = await Promise.all(lasting.map((one) => start(one, databaseUrl)));
  pods.push(...started);
  const isReady = async ({ health }: Pod) => (await fetch(`${health}/readyz`)).status === 200;
  for (const pod of started) await until(() => isReady(pod), { what: `${pod.name} to be ready` });
  return started;
}

it('a deployment beside the one that it replaces: every process ends within its grace period, and each job ran once', async () => {
  const here = (world = await fleetWorld());
  const old = await deploy(here.database.url);
  const ids = await here.enqueue('work', { ms: 200 }, 200);
  await until(async () => (await here.marks('work')).size > 20, { what: 'the old version at work' });
  const fresh = await deploy(here.database.url);
  expect(await Promise.all(old.map((pod) => pod.stop()))).toEqual(old.map(() => 0));
  ids.push(...(await here.enqueue('work', { ms: 1 }, 20)));
  await here.quiet();
  expect(await here.counts()).toEqual({ delivered: 220 });
  const marks = await here.marks('work');
  expect(ids.map((id) => marks.get(id))).toEqual(ids.map(() => 1));
  expect(await Promise.all(fresh.map((pod) => pod.stop()))).toEqual(fresh.map(() => 0));
}, 180_000);
