// Other commands of Waybill, run as child processes of `waybill dev`: their logs are shown in readable lines.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { readableLine } from './log-line.ts';
import { startWatchdog } from './watchdog.ts';

export type Commands = {
  /** Starts a command and leaves it running. */
  start(args: readonly string[]): ChildProcess;
  /**
   * Runs a command that ends by itself.
   * @param signal when it aborts, the command is ended, also while the application's code computes without end
   * @returns whether it ended with exit code 0
   */
  succeeds(args: readonly string[], signal: AbortSignal): Promise<boolean>;
  /** Sends SIGTERM and waits until it has finished what runs. */
  end(child: ChildProcess | undefined): Promise<void>;
};

/**
 * @param project the project's folder: its own copy of Waybill is run, because the application imports that one
 * @param own the file of this command line
 */
export function createCommands(project: string, own: string, env: NodeJS.ProcessEnv): Commands {
  const installed = join(project, 'node_modules/waybill/dist/cli/main.js');
  const main = existsSync(installed) ? installed : own;
  const colour = process.stdout.isTTY;
  // `run` notices by itself that we are gone. A command that is still loading the application cannot.
  const watchdog = startWatchdog({ signal: 'TERM' });

  function start(args: readonly string[]): ChildProcess {
    const child = spawn(process.execPath, [...process.execArgv, main, ...args], {
      cwd: project,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout, crlfDelay: Number.POSITIVE_INFINITY });
    lines.on('line', (line) => process.stdout.write(`${readableLine(line, { colour })}\n`));
    return child;
  }
  return {
    start,
    async succeeds(args, signal) {
      if (signal.aborted) return false;
      const child = start(args);
      if (child.pid !== undefined) watchdog.watch(child.pid);
      const end = (): void => void child.kill('SIGTERM');
      signal.addEventListener('abort', end, { once: true });
      const [code] = (await once(child, 'close')) as [number | null];
      signal.removeEventListener('abort', end);
      if (child.pid !== undefined) watchdog.forget(child.pid);
      return code === 0;
    },
    // If Ctrl-C also reached the child, it treats both signals as one (src/process/ending.ts).
    async end(child) {
      if (!child || hasEnded(child)) return;
      const closed = once(child, 'close');
      child.kill('SIGTERM');
      await closed;
    },
  };
}

export const hasEnded = (child: ChildProcess): boolean =>
  child.exitCode !== null || child.signalCode !== null;
