// The application of docs/adopting.md, step by step: the files and commands of the page, in real processes, on a real Postgres. Doubled: npm install.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { waybill, waybillCommand } from '../support/command.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { documentationPages, writeExamples, type Example, type Written } from '../support/examples.ts';
import { until } from '../support/wait.ts';

const page = documentationPages().find(({ name }) => name === 'docs/adopting.md')!;
const fileOf = (file: string): Example => page.examples.find((example) => example.file === file)!;
const ours = ['app/jobs.ts', 'app/waybill.ts', 'app/server.ts'].map(fileOf);
const shell = page.examples.filter(({ language }) => language === '').map(({ code }) => code);

/** The arguments of the page's command that begins so. */
function argumentsOf(command: string): string[] {
  const line = shell
    .join('')
    .split('\n')
    .find((text) => text.includes(command));
  if (line === undefined) throw new Error(`docs/adopting.md has no command with ${command}`);
  return line
    .slice(line.indexOf(command) + command.length)
    .replace(' &', '')
    .trim()
    .split(' ');
}

let written: Written;
let database: TestDatabase;
let folder: string;
const children: ChildProcess[] = [];
beforeAll(async () => {
  written = writeExamples([{ ...page, examples: ours }]);
  folder = dirname(dirname(written.fileOf(ours[0]!)));
  database = await testDatabase({ migrated: false });
  await database.db.executeSql('create table signups (email text primary key)'); // of the application that exists
});
afterAll(async () => {
  for (const child of children) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
  }
  await database.end();
  written.remove();
});

/** @returns the lines that it prints */
function start(args: readonly string[], env: Record<string, string>): string[] {
  const options = { cwd: folder, env: { PATH: process.env['PATH'], DATABASE_URL: database.url, ...env } };
  const tsx = ['--import', import.meta.resolve('tsx')]; // here `waybill` is a path of tsconfig.json
  const child = spawn(process.execPath, [...tsx, ...args], {
    ...options,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  children.push(child);
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  return lines;
}

const signUp = (port: number, email: string): Promise<Response> =>
  fetch(`http://127.0.0.1:${port}/signups`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email }),
  });

it('the page, followed line by line, delivers what was committed and nothing else', async () => {
  const migrated = await waybill(argumentsOf('npx waybill'), { DATABASE_URL: database.url }, folder);
  expect(migrated).toMatchObject({ code: 0 });
  const port = await freePort();
  start(
    argumentsOf('node app/').map((file) => `app/${file}`),
    { PORT: `${port}` },
  );
  const printed = start([...waybillCommand, ...argumentsOf('cli/main.js')], {
    WAYBILL_APP: 'app/waybill.ts',
  });

  const what = { what: 'the server of the page' };
  expect((await until(() => signUp(port, 'ann@customers.example'), what)).status).toBe(201);
  expect((await signUp(port, 'ann@customers.example')).status).toBe(500);
  expect((await signUp(port, 'nonsense')).status).toBe(500);
  await until(() => printed.includes('welcome, ann@customers.example (1 of yours)'), {
    what: 'the line of the handler',
  });
  const sql = 'select name, status from waybill.outbox_messages';
  const delivered = async () =>
    (await database.db.executeSql<{ status: string }>(sql)).rows[0]?.status === 'delivered';
  await until(delivered, { what: 'the settled message' });
  expect((await database.db.executeSql(sql)).rows).toEqual([{ name: 'welcome', status: 'delivered' }]);
  const listed = await waybill(
    argumentsOf('npx waybill outbox').toSpliced(0, 0, 'outbox'),
    { DATABASE_URL: database.url },
    folder,
  );
  expect(listed.stdout).toMatch(/job +welcome +jobs +delivered/);
}, 120_000);

it('adopting takes less than thirty lines', () => {
  const [jobs, registry, server] = ours.map(({ code }) => code.split('\n').filter((line) => line !== ''));
  const added = [...jobs!, ...registry!, ...server!.filter((line) => line.endsWith('// new'))];
  expect(added.length).toBeGreaterThan(10);
  expect(added.length).toBeLessThan(30);
});
