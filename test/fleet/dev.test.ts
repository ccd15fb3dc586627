// `waybill dev` as a newcomer meets it: the package, a folder of one's own, and no configuration.

import { execFile, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { installPackage, type Consumer, type Finished } from '../support/consumer.ts';
import { testDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';

let project: Consumer;
beforeAll(async () => {
  project = await installPackage(['pg', 'zod']);
}, 400_000);
afterAll(() => project.end());

type Dev = {
  readonly child: ChildProcess;
  said(): string;
  /** Waits until it has said this. */
  says(text: string | RegExp): Promise<void>;
  /** Ctrl-C. @returns its exit code */
  stop(): Promise<number | null>;
};

const waybill = (): string => join(project.dir, 'node_modules/waybill/dist/cli/main.js');

/** Runs it in a folder of its own, in a session of its own as from a terminal. */
function dev(folder: string, args: readonly string[] = [], env: Record<string, string> = {}): Dev {
  const child = project.start('node', [waybill(), 'dev', ...args], env, folder);
  let output = '';
  for (const stream of [child.stdout!, child.stderr!])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const closed = once(child, 'close') as Promise<[number | null]>;
  return {
    child,
    said: () => output,
    async says(text) {
      const found = (): boolean => (typeof text === 'string' ? output.includes(text) : text.test(output));
      await until(() => found() || child.exitCode !== null, {
        what: `${text} in ${output}`,
        timeoutMs: 60_000,
      });
      expect(output).toMatch(text);
    },
    async stop() {
      child.kill('SIGINT');
      return (await closed)[0];
    },
  };
}

/** A folder whose packages are those of the installed project: they are found in the folder above. */
function folderWith(name: string, files: Readonly<Record<string, string>> = {}): string {
  const folder = join(project.dir, name);
  mkdirSync(join(folder, 'app'), { recursive: true });
  for (const [path, text] of Object.entries(files)) writeFileSync(join(folder, path), text);
  return folder;
}

const command = (
  args: readonly string[],
  folder: string,
  env: Record<string, string> = {},
): Promise<Finished> => project.run('node', [waybill(), ...args], env, folder);

describe('in an empty folder', () => {
  it('says what it would make, and makes nothing while nobody agrees', async () => {
    const folder = join(project.dir, '..', 'untouched');
    mkdirSync(folder);
    const { code, stdout, stderr } = await command(['dev'], folder);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/new +app\/index\.ts[\s\S]*npm install \S+\.tgz pg zod[\s\S]*waybill dev --yes/);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('without a network it says which command failed, and goes on from there the next time', async () => {
    const folder = join(project.dir, '..', 'offline');
    mkdirSync(folder);
    const cache = join(folder, '.npm');
    const env = {
      npm_config_registry: 'http://127.0.0.1:9',
      npm_config_cache: cache,
      npm_config_audit: 'false',
    };
    const { code, stderr } = await command(['dev', '--yes'], folder, env);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /`npm install \S+ pg zod` ended with exit code 1[\s\S]*\(packages_not_installed\)/,
    );
    const again = await command(['dev'], folder, env);
    expect(again.stderr).not.toContain('app/index.ts');
    expect(again.stderr).toContain('npm install');
  });

  it('--yes: an application, its packages, a database; the printed command sends a mail that the inbox shows', async () => {
    const folder = join(project.dir, '..', 'My shop');
    mkdirSync(folder);
    const first = dev(folder, ['--yes']);
    await first.says('Ctrl-C ends it');
    const [call = ''] = /curl '[\s\S]*?'\n/.exec(first.said()) ?? [];
    const { stdout } = await promisify(execFile)('bash', ['-c', call]);
    expect(JSON.parse(stdout)).toMatchObject({ result: { id: expect.any(String) as string } });
    const [inbox = ''] = /http:\S+\/inbox/.exec(first.said()) ?? [];
    const mails = await until(
      async () => {
        const answer = await fetch(inbox, { headers: { accept: 'application/json' } });
        const found = (await answer.json()) as { mails: { subject: string }[] };
        return found.mails.length > 0 && found.mails;
      },
      { what: 'the mail in the inbox' },
    );
    expect(mails).toMatchObject([{ subject: 'Hello, Ann' }]);
    const [link = ''] = /http:\S+\/console\/enter\S+/.exec(first.said()) ?? [];
    expect((await fetch(link, { redirect: 'manual' })).status).toBe(303);
    const types = await project.run('npx', ['tsc', '--noEmit'], {}, folder);
    expect(types).toMatchObject({ code: 0, stdout: '' });
    // Other commands in the folder reach the same database, and a second `dev` does not take it away.
    const listed = await command(['outbox', 'list', '--json'], folder);
    expect(JSON.parse(listed.stdout)).toMatchObject({ messages: [{ kind: 'job' }, { kind: 'email' }] });
    const second = await command(['dev'], folder);
    expect({ code: second.code, stderr: second.stderr }).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('(dev_running)') as string,
    });
    expect(await first.stop()).toBe(0);
    expect(existsSync(join(folder, '.waybill/dev.env'))).toBe(false);
    // What is there is neither asked for nor made again, and the data stayed.
    const next = dev(folder);
    await next.says('Ctrl-C ends it');
    expect(next.said()).not.toContain('new');
    expect((await command(['outbox', 'list', '--json'], folder)).stdout).toContain('Hello, Ann');
    expect(await next.stop()).toBe(0);
  }, 180_000);
});

const works = `import { defineApp } from 'waybill';\nexport default defineApp({});\n`;

describe('with DATABASE_URL', () => {
  it('an application that does not load is said with its error, and runs once it is mended', async () => {
    const database = await testDatabase({ migrated: false });
    const folder = folderWith('broken', {
      'package.json': '{"type":"module"}',
      'app/index.ts': 'export default 1;\n',
    });
    const running = dev(folder, [], { DATABASE_URL: database.url, PORT: String(await freePort()) });
    await running.says(/app_not_defined[\s\S]*waiting for a change/);
    expect(running.child.exitCode).toBeNull();
    writeFileSync(join(folder, 'app/index.ts'), works);
    await running.says('Ctrl-C ends it');
    writeFileSync(join(folder, 'app/index.ts'), `${works}throw new Error('half written');\n`);
    await running.says(/half written[\s\S]*waiting for a change/);
    writeFileSync(join(folder, 'app/index.ts'), `console.log('without end');\nfor (;;);\n`);
    await running.says('without end');
    writeFileSync(join(folder, 'app/index.ts'), works);
    await running.says(/ready after/);
    expect(await running.stop()).toBe(0);
    await database.end();
  }, 120_000);

  it('a command that computes without end does not outlive it', async () => {
    const folder = folderWith('endless', {
      'package.json': '{"type":"module"}',
      'app/index.ts': 'console.log(`process ${process.pid} computes`);\nfor (;;);\n',
    });
    const env = { DATABASE_URL: 'postgres://localhost:9/none', PORT: String(await freePort()) };
    const running = dev(folder, [], env);
    await running.says(/process \d+ computes/);
    const pid = Number(/process (\d+) computes/.exec(running.said())![1]);
    running.child.kill('SIGKILL');
    const isGone = (): boolean => !existsSync(`/proc/${pid}`);
    await until(isGone, { what: `the end of process ${pid}` });
  }, 60_000);

  it('a port that is taken: another one, unless PORT names it', async () => {
    const database = await testDatabase();
    const folder = folderWith('ports', { 'package.json': '{"type":"module"}', 'app/index.ts': works });
    const taken = createServer();
    taken.listen(0, 'localhost');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    const env = { DATABASE_URL: database.url, PORT: String(port) };
    const { code, stderr } = await command(['dev'], folder, env);
    expect(code).toBe(1);
    expect(stderr).toContain(`port ${port} is taken by another process`);
    taken.close();
    await database.end();
  });

  it('a wrong configuration ends it with every problem, before anything is started', async () => {
    const folder = folderWith('wrong', { 'package.json': '{"type":"module"}', 'app/index.ts': works });
    const { code, stderr } = await command(['dev'], folder, { WAYBILL_LEASE: 'long', PORT: 'x' });
    expect(code).toBe(78);
    expect(stderr).toMatch(/PORT[\s\S]*WAYBILL_LEASE/);
    expect(existsSync(join(folder, '.waybill'))).toBe(false);
  });
});
