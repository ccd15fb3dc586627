// A process under measurement, as it would be deployed: its own Node, its output in a file.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { openSync, closeSync, readFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export type Child = {
  readonly pid: number;
  /** What it has written so far. */
  output(): string;
  /** Resolves when its output contains this text. */
  says(text: string): Promise<void>;
  send(message: object): void;
  /** The next message from it. */
  hear(): Promise<unknown>;
  end(): Promise<void>;
};

const root = fileURLToPath(new URL('..', import.meta.url));

export function startChild(args: readonly string[], env: Readonly<Record<string, string>>): Child {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-bench-'));
  const file = join(folder, 'output');
  const out = openSync(file, 'w');
  const child: ChildProcess = spawn(process.execPath, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', out, out, 'ipc'],
  });
  closeSync(out);
  const output = (): string => readFileSync(file, 'utf8');
  const heard: unknown[] = [];
  child.on('message', (message) => void heard.push(message));
  const ended = once(child, 'exit');
  const check = (): void => {
    if (child.exitCode !== null)
      throw new Error(`${args.join(' ')} ended with ${child.exitCode}:\n${output().slice(-2_000)}`);
  };
  return {
    pid: child.pid!,
    output,
    async says(text) {
      for (; !output().includes(text); await sleep(20)) check();
    },
    send: (message) => void child.send(message),
    async hear() {
      for (; heard.length === 0; await sleep(1)) check();
      return heard.shift();
    },
    async end() {
      if (child.exitCode === null) child.kill('SIGTERM');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
