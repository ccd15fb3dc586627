// `.waybill/dev.env`: what a running `waybill dev` tells the other commands in its folder, so that they reach the Postgres that it started. It
// exists as long as the command runs.

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';

export const devFile = '.waybill/dev.env';

/** The variable that names the process of `waybill dev`. */
const owner = 'WAYBILL_DEV_PID';

export type Running = { readonly pid: number; readonly variables: Readonly<Record<string, string>> };

/**
 * @param project the project's folder
 * @returns undefined when no `waybill dev` runs there; a file that a killed one left behind counts for nothing
 */
export function readDevFile(project: string): Running | undefined {
  const file = join(project, devFile);
  if (!existsSync(file)) return undefined;
  const { [owner]: pid = '', ...rest } = parseEnv(readFileSync(file, 'utf8'));
  if (!isAlive(Number(pid))) return undefined;
  const variables = Object.entries(rest).filter((entry): entry is [string, string] => Boolean(entry[1]));
  return { pid: Number(pid), variables: Object.fromEntries(variables) };
}

/** @param variables values without quotes and line breaks. @returns a function that removes the file */
export function writeDevFile(project: string, variables: Readonly<Record<string, string>>): () => void {
  const file = join(project, devFile);
  const lines = Object.entries({ ...variables, [owner]: String(process.pid) }).map(
    ([name, value]) => `${name}='${value}'`,
  );
  rmSync(file, { force: true }); // one that was left behind may have another mode
  writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600, flag: 'wx' });
  return () => rmSync(file, { force: true });
}

function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 1) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
