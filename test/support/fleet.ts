// A fleet of real processes for tests: started, signalled and awaited one by one; nothing is left behind.

import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { compileCache } from './command.ts';
import { tied } from './tied.ts';
import { until } from './wait.ts';

export type Role = 'web' | 'relay' | 'email' | 'jobs' | 'scheduler' | 'all';

export type Running = {
  readonly role: Role;
  readonly pid: number;
  /** What it logged so far, parsed. */
  readonly lines: readonly Record<string, unknown>[];
  /** Resolves with the exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, then the exit code. */
  stop(): Promise<number | NodeJS.Signals>;
};

export type TestFleet = {
  /** Starts a process and resolves when it says that it runs. */
  start(role: Role, env?: Readonly<Record<string, string>>): Promise<Running>;
  /** Starts a process that may never say so. */
  launch(role: Role, env?: Readonly<Record<string, string>>): Running;
  /** Ends whatever still runs. */
  end(): Promise<void>;
};

const project = fileURLToPath(new URL('../../', import.meta.url));

/** @param root the folder of the source; default: this one */
export function testFleet(env: Readonly<Record<string, string>>, root = project): TestFleet {
  const all: Running[] = [];
  function begin(role: Role, more: Readonly<Record<string, string>> = {}): Running {
    const running = launch(root, role, { ...env, ...more });
    all.push(running);
    return running;
  }
  return {
    launch: begin,
    async start(role, more) {
      const running = begin(role, more);
      const isStarted = () => running.lines.some((line) => line['msg'] === `${role}: started`);
      let code: number | NodeJS.Signals | undefined;
      void running.ended.then((its) => (code = its));
      await until(() => isStarted() || code !== undefined, { timeoutMs: 30_000 }).catch(() => undefined);
      if (!isStarted())
        throw new Error(`${role} did not start (exit ${code}): ${JSON.stringify(running.lines.slice(-5))}`);
      return running;
    },
    async end() {
      for (const running of all) running.kill('SIGKILL');
      await Promise.all(all.map((running) => running.ended));
    },
  };
}

function launch(root: string, role: Role, env: Readonly<Record<string, string>>): Running {
  const clean = {
    PATH: process.env['PATH'],
    ...compileCache,
    HOME: process.env['HOME'],
    LOG_LEVEL: 'info',
    ...env,
  };
  const child = tied(
    spawn(process.execPath, [`workers/${role}.ts`], {
      cwd: root,
      env: clean,
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  );
  const lines: Record<string, unknown>[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(parsed(line)));
  createInterface({ input: child.stderr }).on('line', (line) => lines.push({ stderr: line }));
  const ended = endOf(child);
  return {
    role,
    lines,
    ended,
    pid: child.pid!,
    kill: (signal) => void child.kill(signal),
    async stop() {
      child.kill('SIGTERM');
      return ended;
    },
  };
}

function endOf(child: ChildProcess): Promise<number | NodeJS.Signals> {
  return new Promise((resolve) => child.once('close', (code, signal) => resolve(code ?? signal ?? -1)));
}

function parsed(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return { text: line };
  }
}
