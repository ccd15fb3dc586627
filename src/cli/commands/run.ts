// `waybill run ROLE…`: the processes of the Procfile without a Procfile. Each role is a process of its own, so that
// one that ends takes the command with it and whoever supervises us sees it.

import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { exitCodes, UsageError } from '../exit.ts';
import { nearest } from '../nearest.ts';
import { say } from '../print.ts';

const WORKERS = new URL('../../../workers/', import.meta.url);

export function addRun(program: Command): void {
  program
    .command('run')
    .description('run processes of the fleet')
    .argument('<role...>', `one or more of ${roles().join(', ')}`)
    .action(async (names: string[]) => {
      for (const name of names) checkRole(name);
      process.exitCode = await superviseAll([...new Set(names)]);
    });
}

function roles(): string[] {
  if (!existsSync(WORKERS)) return [];
  return readdirSync(WORKERS).filter((file) => file.endsWith('.ts')).map((file) => file.slice(0, -3)).toSorted();
}

function checkRole(name: string): void {
  const known = roles();
  if (known.includes(name)) return;
  const near = nearest(name, known);
  throw new UsageError('unknown_role', `no role "${name}"${near ? `, did you mean ${near}?` : ''} There are: ${known.join(', ')}`);
}

/** Gives the exit code of the role that ended first with another one than 0, else 0. */
async function superviseAll(names: readonly string[]): Promise<number> {
  const children = names.map(start);
  const stopAll = (signal: NodeJS.Signals): void => children.forEach((child) => void child.kill(signal));
  const forward = (signal: NodeJS.Signals): void => stopAll(signal);
  process.on('SIGTERM', forward).on('SIGINT', forward);
  try {
    const codes = await Promise.all(children.map((child) => ended(child, () => stopAll('SIGTERM'))));
    return codes.find((code) => code !== exitCodes.ok) ?? exitCodes.ok;
  } finally {
    process.off('SIGTERM', forward).off('SIGINT', forward);
  }
}

function start(role: string): ChildProcess {
  const args = [...process.execArgv, fileURLToPath(new URL(`${role}.ts`, WORKERS))];
  // Supervised: a role leaves when this command is gone, in whatever way.
  return spawn(process.execPath, args, { stdio: 'inherit', env: { ...process.env, WAYBILL_SUPERVISED: '1' } });
}

function ended(child: ChildProcess, stopOthers: () => void): Promise<number> {
  return new Promise((resolve) => {
    child.once('error', (error) => {
      say(`could not start: ${error.message}`);
      stopOthers();
      resolve(exitCodes.failed);
    });
    child.once('exit', (code) => {
      stopOthers();
      resolve(code ?? exitCodes.failed);
    });
  });
}
