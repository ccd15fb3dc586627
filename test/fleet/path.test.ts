// The files that one email and one retry of it pass, as src/README.md lists them. Real: Postgres, pg-boss, the processes under V8's precise
// coverage. Doubled: the provider, which fails on the first attempt.

import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { until } from '../support/wait.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const coverage = join(root, 'test/support/path-coverage.mjs');
const pollMs = 1_000;

let world: World;
let folder: string;
let recorder: ChildProcess;
const processes: { readonly pid: number; readonly file: string }[] = [];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-path-'));
  world = await fleetWorld({
    WAYBILL_APP: 'test/support/path-app.ts',
    WAYBILL_LEASE: '15s',
    NODE_OPTIONS: `--import ${coverage}`,
  });
  for (const role of ['relay', 'email'] as const) {
    const file = join(folder, role);
    const env = {
      PATH_COVERAGE: file,
      // A worker that polls seldom leaves it to the relay to find what no NOTIFY named.
      WAYBILL_POLL_INTERVAL: role === 'relay' ? `${pollMs}ms` : '15s',
    };
    processes.push({ pid: (await world.fleet.start(role, env)).pid, file });
  }
  const file = join(folder, 'recorder');
  recorder = spawn(
    process.execPath,
    ['--import', 'tsx', '--import', coverage, 'test/support/path-recorder.ts'],
    {
      cwd: root,
      env: { ...process.env, DATABASE_URL: world.database.url, PATH_COVERAGE: file },
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  processes.push({ pid: recorder.pid!, file });
  let said = '';
  recorder.stdout!.on('data', (text: Buffer) => (said += text));
  await until(() => said.includes('ready'), { what: 'the recorder' });
});
afterAll(async () => {
  recorder.kill('SIGKILL');
  await world.end();
  rmSync(folder, { recursive: true });
});

const map = readFileSync(join(root, 'src/README.md'), 'utf8');

/** The names in the paragraph of the map that begins like this. */
function listOf(beginning: string): string[] {
  const [, paragraph = ''] = new RegExp(`^${beginning}([\\s\\S]*?)\\n\\n`, 'm').exec(map) ?? [];
  return [...paragraph.matchAll(/`([^`]+)`/g)]
    .map((match) => match[1]!)
    .filter((name) => !name.startsWith('test/'));
}

/** What ran in each process since it was asked before. */
async function ran(number: number): Promise<Set<string>[]> {
  for (const { pid } of processes) process.kill(pid, 'SIGUSR2');
  return Promise.all(
    processes.map(async ({ file }) => {
      await until(() => existsSync(`${file}.${number}`), { what: `the coverage of ${file}` });
      return new Set(JSON.parse(readFileSync(`${file}.${number}`, 'utf8')) as string[]);
    }),
  );
}

async function deliverOne(n: number, how: 'told' | 'quiet' = 'told'): Promise<void> {
  recorder.stdin!.write(`${how}\n`);
  await until(async () => (await world.counts()).delivered === n, { what: `email ${n}` });
}

/** One that a NOTIFY names and one that the relay finds, after so many delivered ones. */
async function deliverTwo(before: number): Promise<void> {
  await deliverOne(before + 1);
  await deliverOne(before + 2, 'quiet');
  await until(async () => (await world.count('select count(*)::int as n from pgboss.job')) === 0);
}

const filesOf = (functions: readonly string[]): string[] => [
  ...new Set(functions.map((name) => name.split(' ')[0]!)),
];

it(
  'the files that an email and its retry pass are those that the map lists',
  { timeout: 120_000 },
  async () => {
    await deliverTwo(0); // what is made once is not on the way of each email
    await ran(0);
    await sleep(5 * pollMs); // every loop of the path has run
    const idle = await ran(1);
    const busy: Set<string>[][] = [];
    for (const number of [2, 3]) {
      await deliverTwo(2 * (number - 1));
      busy.push(await ran(number));
    }
    const ranAtAll = new Set(busy.flat().flatMap((functions) => filesOf([...functions])));
    // A loop that runs seldom, such as pruning, is not in both.
    const ranForThem = busy[0]!.flatMap((functions, i) =>
      filesOf([...functions].filter((name) => busy[1]![i]!.has(name) && !idle[i]!.has(name))),
    );
    const listed = listOf('To follow one email and its retry, read');
    const around = listOf('They call');
    const isAround = (file: string): boolean =>
      !file.includes('/') || around.includes(`${file.split('/')[0]!}/`);
    // What loops also run at rest may have run before: it is listed where a reader needs it.
    expect(ranForThem.filter((file) => !isAround(file) && !listed.includes(file))).toEqual([]);
    expect(listed.filter((file) => !ranAtAll.has(file))).toEqual([]);
  },
);
