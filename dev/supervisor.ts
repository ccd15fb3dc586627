// Child processes, run as a platform would. Each has a log file and is started again when it ends unasked. SIGTERM ends them, and they end with
// us even when we are killed.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ProcessLine } from './procfile.ts';
import { startWatchdog } from '../src/dev/watchdog.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export type Supervisor = {
  /** Runs a process to its end; returns its exit code. */
  run(line: ProcessLine, env: Environment): Promise<number>;
  /** Starts a process and keeps it running. */
  start(line: ProcessLine, env: Environment): void;
  /** Ends all processes by SIGTERM, and the remaining ones by SIGKILL after `graceMs`. */
  stop(): Promise<void>;
  /** SIGKILL for all, now. */
  kill(): void;
  /** How often a process ended unasked. */
  failures(name: string): number;
  /** The end of a process's log. */
  tail(name: string): string;
  /** Stops all processes, and the watchdog. */
  end(): Promise<void>;
};

export type SupervisorOptions = {
  readonly cwd: string;
  readonly logDir: string;
  readonly graceMs: number;
  /** Reports processes that end unasked, among other things. */
  readonly say: (line: string) => void;
};

/** Long enough that a process that fails at its start does not use up the machine. */
const restartDelay = 1_000;

export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { cwd, logDir, graceMs, say } = options;
  const children = new Map<ChildProcess, string>();
  const watchdog = startWatchdog({ signal: 'TERM' });
  const timers = new Set<NodeJS.Timeout>();
  const failures = new Map<string, number>();
  let stopping = false;
  rmSync(logDir, { recursive: true, force: true });
  mkdirSync(logDir, { recursive: true });
  const logFile = (name: string): string => join(logDir, `${name}.log`);

  function launch(line: ProcessLine, env: Environment): ChildProcess {
    const log = openSync(logFile(line.name), 'a');
    // A session of its own: Ctrl-C in a terminal reaches only us, and we end the processes in order.
    const child = spawn(line.command, line.args, {
      cwd,
      env: { ...env },
      stdio: ['ignore', log, log],
      detached: true,
    });
    closeSync(log);
    children.set(child, line.name);
    const { pid } = child;
    if (pid !== undefined) watchdog.watch(pid);
    child.once('error', (error) => say(`${line.name} could not be started: ${error.message}`));
    child.once('close', () => {
      children.delete(child);
      if (pid !== undefined) watchdog.forget(pid);
    });
    return child;
  }

  function start(line: ProcessLine, env: Environment): void {
    const child = launch(line, env);
    child.once('close', (code, signal) => {
      if (stopping) return;
      failures.set(line.name, (failures.get(line.name) ?? 0) + 1);
      say(`${line.name} ended (${signal ?? `code ${code}`}); it is started again`);
      const timer = setTimeout(() => {
        timers.delete(timer);
        start(line, env);
      }, restartDelay);
      timers.add(timer);
    });
  }

  function signalAll(signal: NodeJS.Signals): void {
    for (const child of children.keys()) child.kill(signal);
  }

  async function stop(): Promise<void> {
    stopping = true;
    for (const timer of timers) clearTimeout(timer);
    const closed = Promise.all([...children.keys()].map((child) => once(child, 'close')));
    signalAll('SIGTERM');
    const deadline = setTimeout(() => {
      say(`${[...children.values()].join(', ')} did not end within ${graceMs} ms: killed`);
      signalAll('SIGKILL');
    }, graceMs);
    await closed;
    clearTimeout(deadline);
    stopping = false;
  }

  return {
    async run(line, env) {
      const [code] = (await once(launch(line, env), 'close')) as [number | null];
      return code ?? 1;
    },
    start,
    stop,
    kill: () => signalAll('SIGKILL'),
    failures: (name) => failures.get(name) ?? 0,
    tail: (name) => readFileSync(logFile(name), 'utf8').slice(-2_000),
    async end() {
      await stop();
      await watchdog.release();
    },
  };
}
