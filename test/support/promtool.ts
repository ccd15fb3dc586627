// promtool, of Debian's package `prometheus`; `.ci/run` installs it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { text } from 'node:stream/consumers';

const found = (name: string): string | undefined =>
  ['/usr/bin', '/usr/local/bin'].map((folder) => `${folder}/${name}`).find((path) => existsSync(path));

export const promtoolPath = found('promtool');
export const prometheusPath = found('prometheus');

/** True, said loudly, when a program is missing. */
export function isMissing(path: string | undefined, what: string): boolean {
  if (path !== undefined) return false;
  console.warn(`SKIPPED, for ${what} is not installed here: apt-get install prometheus`);
  return true;
}

/** @returns its exit code and all that it said */
export async function promtool(args: readonly string[], input = ''): Promise<{ code: number; said: string }> {
  const child = spawn(promtoolPath!, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.end(input);
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number]>,
  ]);
  return { code, said: stdout + stderr };
}
