// A process of the fleet as a child of the test: its output, its exit, and how to end it.

import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export type Child = {
  readonly pid: number | undefined;
  /** Resolves with the exit code, or with the signal that ended it, once all its output was read. */
  readonly ended: Promise<number | NodeJS.Signals>;
  hasEnded(): boolean;
  /** The last lines that it wrote to stdout and stderr. */
  lastWords(): string;
  kill(signal: NodeJS.Signals): void;
};

const keptLines = 40;

/** Starts `waybill` with these arguments. The child ends when this process is gone. */
export function startChild(args: readonly string[], env: NodeJS.ProcessEnv): Child {
  const child = spawn(process.execPath, [...commandLine(), ...args], {
    env: { ...env, WAYBILL_SUPERVISED: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const keep = (line: string): void => {
    lines.push(line);
    if (lines.length > keptLines) lines.shift();
  };
  createInterface({ input: child.stdout }).on('line', keep);
  createInterface({ input: child.stderr }).on('line', keep);
  let over = false;
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    const end = (how: number | NodeJS.Signals): void => {
      over = true;
      resolve(how);
    };
    child.once('error', (error) => {
      keep(error.message);
      end(-1);
    });
    child.once('close', (code, signal) => end(code ?? signal ?? -1));
  });
  return {
    pid: child.pid,
    ended,
    hasEnded: () => over,
    lastWords: () => lines.join('\n'),
    kill: (signal) => void child.kill(signal),
  };
}

/** The command line of this package: compiled, or a source that needs tsx. */
function commandLine(): string[] {
  const main = join(dirname(fileURLToPath(import.meta.url)), '../cli/main');
  if (!import.meta.url.endsWith('.ts')) return [`${main}.js`];
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  return [`--import=${tsx}`, `${main}.ts`];
}
