// The supervisor of demo and dev: real processes, ended in order, started again, none left behind.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readProcfile, type ProcessLine } from '../../dev/procfile.ts';
import { createSupervisor, type Supervisor } from '../../dev/supervisor.ts';
import { isAlive } from '../support/alive.ts';
import { until } from '../support/wait.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
let dir: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'waybill-supervisor-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

const script = (name: string, code: string): ProcessLine => ({
  name,
  command: process.execPath,
  args: ['-e', code],
});
const supervise = (said: string[], graceMs = 5_000): Supervisor =>
  createSupervisor({ cwd: dir, logDir: join(dir, 'log'), graceMs, say: (line) => void said.push(line) });

const stays = `console.log('pid ' + process.pid); setInterval(() => {}, 1000); process.on('SIGTERM', () => { console.log('asked'); process.exit(0) });`;
const deaf = `console.log('pid ' + process.pid); setInterval(() => {}, 1000); process.on('SIGTERM', () => {});`;
const pids = (log: string): number[] => [...log.matchAll(/^pid (\d+)$/gm)].map((match) => Number(match[1]));

describe('supervisor', () => {
  test('ends its processes by SIGTERM, and by SIGKILL the one that does not hear', async () => {
    const said: string[] = [];
    const supervisor = supervise(said, 3_000);
    supervisor.start(script('good', stays), process.env);
    supervisor.start(script('deaf', deaf), process.env);
    const [good] = await until(
      () => pids(supervisor.tail('good')).length > 0 && pids(supervisor.tail('good')),
    );
    const [bad] = await until(
      () => pids(supervisor.tail('deaf')).length > 0 && pids(supervisor.tail('deaf')),
    );
    await supervisor.end();
    expect(supervisor.tail('good')).toContain('asked');
    expect(said).toEqual(['deaf did not end within 3000 ms: killed']);
    expect([good, bad].map((pid) => isAlive(pid ?? 0))).toEqual([false, false]);
  });

  test('starts a process again that ended by itself, and says so', async () => {
    const said: string[] = [];
    const supervisor = supervise(said);
    supervisor.start(script('brief', `console.log('pid ' + process.pid); process.exit(3)`), process.env);
    await until(() => pids(supervisor.tail('brief')).length >= 2);
    await supervisor.end();
    expect(said[0]).toBe('brief ended (code 3); it is started again');
    expect(supervisor.failures('brief')).toBeGreaterThanOrEqual(1);
  });

  test('gives the exit code of what it runs to the end', async () => {
    const supervisor = supervise([]);
    expect(await supervisor.run(script('release', 'process.exit(7)'), process.env)).toBe(7);
    await supervisor.end();
  });

  test('takes its processes with it when it is killed by SIGKILL', async () => {
    const code = `
      import { createSupervisor } from '${new URL('../../dev/supervisor.ts', import.meta.url).href}';
      const supervisor = createSupervisor({ cwd: '/', logDir: ${JSON.stringify(join(dir, 'killed'))}, graceMs: 1000, say: console.log });
      supervisor.start({ name: 'child', command: process.execPath, args: ['-e', ${JSON.stringify(stays)}] }, process.env);`;
    const parent = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], {
      cwd: PROJECT,
    });
    const log = join(dir, 'killed', 'child.log');
    const [child = 0] = await until(() => {
      const found = pids(readFileSync(log, 'utf8'));
      return found.length > 0 && found;
    });
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    await until(() => !isAlive(child), { what: 'the end of the child' });
  });
});

describe('Procfile', () => {
  const read = (text: string): ProcessLine[] => {
    const path = join(dir, 'Procfile');
    writeFileSync(path, text);
    return readProcfile(path);
  };

  test('the one of this project starts Node directly, so that SIGTERM arrives', () => {
    const lines = readProcfile(join(PROJECT, 'Procfile'));
    expect(lines.map((line) => line.name)).toEqual(
      expect.arrayContaining(['release', 'web', 'relay', 'email', 'jobs']),
    );
    for (const line of lines) expect(line.command).toBe(process.execPath);
  });

  test('comments and empty lines are passed over', () => {
    expect(read('# the fleet\n\nweb: run it fast\r\n')).toEqual([
      { name: 'web', command: 'run', args: ['it', 'fast'] },
    ]);
  });

  test.each([
    ['no colon', 'web node x', /Procfile:1: a line is "name: command"/],
    ['no command', 'ok: x\nweb:', /Procfile:2: a line is "name: command"/],
    ['a variable', 'web: node $X', /Procfile:1: only plain words/],
    ['two commands', 'web: a && b', /Procfile:1: only plain words/],
  ])('a line with %s is refused with its place', (_, text, message) => {
    expect(() => read(text)).toThrow(message);
  });
});
