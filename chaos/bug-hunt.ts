// Looks for bugs: puts each into a copy of the sources and runs the harness there until a promise breaks, or the tries are used up.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { bugs, type Bug } from './bugs.ts';
import type { Report } from './report.ts';
import { project } from './waybill.ts';

export type Found = {
  readonly bug: string;
  readonly faults: string;
  readonly isFound: boolean;
  /** The promise that broke first. */
  readonly promise: string;
  readonly runs: number;
  /** From the start of the first run to the end of the last, in seconds. */
  readonly seconds: number;
};

const tries = 5;
/** Orders a second: more are in flight than by default. */
const rate = 10;
const copied = ['src', 'workers', 'sql', 'app', 'chaos', 'package.json', 'tsconfig.json'];

/** @throws when a bug's text is not in the sources any more */
export async function hunt(name: string, minutes: number, say: (line: string) => void): Promise<Found> {
  const bug = bugs[name]!;
  const faults = bug.faults.join(',') || 'none';
  const folder = copyWith(bug);
  const from = performance.now();
  const seconds = (): number => Math.round((performance.now() - from) / 1_000);
  try {
    for (let seed = 1; seed <= tries; seed++) {
      say(`${name}: run ${seed} with ${faults}`);
      const { code, out, err } = await runIn(folder, [
        '--minutes',
        String(minutes),
        '--faults',
        faults,
        '--seed',
        String(seed),
        '--rate',
        String(rate),
        '--json',
      ]);
      const promise = brokenIn(code, out, err);
      if (promise !== undefined)
        return { bug: name, faults, isFound: true, promise, runs: seed, seconds: seconds() };
    }
    return { bug: name, faults, isFound: false, promise: '–', runs: tries, seconds: seconds() };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Exit code 1 with a report is a broken promise; anything else but 0 is not a finding but a fault of the harness. */
function brokenIn(code: number | null, out: string, err: string): string | undefined {
  if (code === 0) return undefined;
  const report = code === 1 && out.startsWith('{') ? (JSON.parse(out) as Report) : undefined;
  if (report === undefined) throw new Error(`the harness ended with ${code}:\n${err.slice(-2_000)}`);
  return report.breaches.map(({ promise }) => promise).join('; ');
}

function copyWith({ edits }: Bug): string {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-bug-'));
  for (const name of copied) cpSync(join(project, name), join(folder, name), { recursive: true });
  symlinkSync(join(project, 'node_modules'), join(folder, 'node_modules'));
  for (const { file, from, to } of edits) {
    const path = join(folder, file);
    const before = readFileSync(path, 'utf8');
    if (before.split(from).length !== 2) throw new Error(`${file} does not have this text once: ${from}`);
    writeFileSync(
      path,
      before.replace(from, () => to),
    );
  }
  return folder;
}

async function runIn(cwd: string, args: readonly string[]) {
  const child = spawn(process.execPath, [...process.execArgv, 'chaos/main.ts', ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { code, out, err };
}
