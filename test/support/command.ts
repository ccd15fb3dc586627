// The command line as its users run it: a real process, with nothing in its environment but what the test gives.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

export type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

const project = fileURLToPath(new URL('../..', import.meta.url));

/** For `node`: `waybill`, from whatever folder. tsx is given by its path, because from elsewhere its name is not found. */
export const waybillCommand = [
  '--import',
  fileURLToPath(import.meta.resolve('tsx')),
  `${project}src/cli/main.ts`,
] as const;

/** @param cwd default: the repository */
export async function waybill(
  args: readonly string[],
  env: Record<string, string> = {},
  cwd = project,
): Promise<Ended> {
  const child = spawn(process.execPath, [...waybillCommand, ...args], {
    cwd,
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { code, stdout, stderr };
}
