// `waybill dev`: runs the whole fleet in one process and restarts it when a file of the application changes.

import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { watch } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { readConfig } from '../../config/config.ts';
import { consoleLink } from '../../console/link.ts';
import { exitCodes } from '../exit.ts';
import { say, sayLink } from '../print.ts';
import { roleNames } from './run.ts';

/** Editors save in several steps, and several files at once. */
const settleMs = 200;

export function addDev(program: Command): void {
  program
    .command('dev')
    .description('run the whole fleet here, and again when a file of the application changes, until Ctrl-C')
    .action(dev);
}

async function dev(): Promise<void> {
  const { app, port, adminKeys, production } = readConfig(process.env); // a wrong configuration ends the command here, with every problem
  const host = process.env['HOST'] || 'localhost';
  const isLocal = /^(?:localhost|127\.\d+\.\d+\.\d+|::1)$/.test(host) && !production;
  // On this machine alone the console needs no configuration: the key is as long as this command.
  if (isLocal && adminKeys.length === 0)
    process.env['WAYBILL_ADMIN_KEY'] = randomBytes(24).toString('base64url');
  const adminKey = process.env['WAYBILL_ADMIN_KEY'] ?? '';
  const stop = new AbortController();
  let fleet: ChildProcess | undefined;
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => (stop.signal.aborted ? fleet?.kill(name) : stop.abort()));
  const folder = dirname(resolve(app));
  for (;;) {
    const changed = change(folder, stop.signal);
    fleet = (await succeeds(['release'], stop.signal)) ? start(['run', ...roleNames]) : undefined;
    if (fleet) {
      say(`the fleet runs; web listens on port ${port}; a change in ${folder} starts it again`);
      const web = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
      if (isLocal && adminKey !== '') sayLink(`console ${consoleLink(web, adminKey)}   (signs you in, once)`);
    } else if (!stop.signal.aborted) say('waiting for a change …');
    await changed;
    await end(fleet);
    if (stop.signal.aborted) return;
    say('changed: starting again');
  }
}

/** Starts another command with this process's command line. */
function start(command: readonly string[]): ChildProcess {
  const args = [...process.execArgv, process.argv[1]!, ...command];
  // `WAYBILL_SUPERVISED`: the child ends with this process.
  const env = { ...process.env, HOST: process.env['HOST'] || 'localhost', WAYBILL_SUPERVISED: '1' };
  return spawn(process.execPath, args, { stdio: 'inherit', env });
}

async function succeeds(command: readonly string[], signal: AbortSignal): Promise<boolean> {
  const child = start(command);
  const [code] = (await once(child, 'close')) as [number | null];
  return code === exitCodes.ok && !signal.aborted;
}

/** Its services finish their work. If Ctrl-C also reached the child, it treats both signals as one (src/process/ending.ts). */
async function end(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGTERM');
  await closed;
}

/** Resolves when a file in the folder has changed and no other change follows at once, or when the signal aborts. */
async function change(folder: string, signal: AbortSignal): Promise<void> {
  const { promise, resolve: done } = Promise.withResolvers<void>();
  let timer: NodeJS.Timeout | undefined;
  const watcher = watch(folder, { recursive: true }, () => {
    clearTimeout(timer);
    timer = setTimeout(done, settleMs);
  });
  signal.addEventListener('abort', () => done(), { once: true });
  if (signal.aborted) done();
  await promise;
  clearTimeout(timer);
  watcher.close();
}
