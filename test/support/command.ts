// The command line as its users run it: a real process, with nothing in its environment but what the test gives.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

export type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

const project = fileURLToPath(new URL('../..', import.meta.url));

/** For `node`: `waybill` on an application of the repository. Node strips the types itself, in half of the time that tsx takes. */
export const waybillCommand = [`${project}src/cli/main.ts`] as const;

/** Applications elsewhere import `waybill` by a path of their tsconfig.json, which tsx resolves. */
const withTsx = ['--import', fileURLToPath(import.meta.resolve('tsx')), ...waybillCommand] as const;

/** Compiled modules, kept between the processes of all tests. */
export const compileCache = { NODE_COMPILE_CACHE: join(tmpdir(), 'waybill-tests-compiled') };

/** @param cwd default: the repository */
export async function waybill(
  args: readonly string[],
  env: Record<string, string> = {},
  cwd = project,
): Promise<Ended> {
  const child = spawn(process.execPath, [...(cwd === project ? waybillCommand : withTsx), ...args], {
    cwd,
    env: { PATH: process.env['PATH'], ...compileCache, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { code, stdout, stderr };
}
