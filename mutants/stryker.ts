// Runs Stryker over the subjects. Texts are not mutated, because most are SQL or messages: named mutants break statements, and the tests of the
// subjects do not compare messages.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Lines } from './changed.ts';
import type { Subject } from './subjects.ts';
import { collapsed, type Change } from './survivors.ts';
import { root } from './tree.ts';

const here = fileURLToPath(new URL('.', import.meta.url));

export type Mutated = {
  readonly killed: number;
  readonly survived: readonly Change[];
  readonly seconds: number;
};

/** Stryker has a package.json of its own, so that the installation of the repository stays small. */
export function installStryker(): void {
  const installed = join(here, 'node_modules/.package-lock.json');
  if (
    existsSync(installed) &&
    statSync(installed).mtimeMs > statSync(join(here, 'package-lock.json')).mtimeMs
  )
    return;
  execFileSync('npm', ['ci'], { cwd: here, stdio: ['ignore', 2, 2] });
}

export type Part = {
  readonly subject: Subject;
  /** Default: the whole file. */ readonly lines?: readonly Lines[];
};

/** @returns undefined when it did not end in time. @throws Error with Stryker's output when it failed */
export async function mutate(parts: readonly Part[], atMostMs?: number): Promise<Mutated | undefined> {
  const began = performance.now();
  const folder = mkdtempSync(join(tmpdir(), 'waybill-stryker-'));
  try {
    const [report, config] = [join(folder, 'report.json'), join(folder, 'stryker.config.json')];
    writeFileSync(config, JSON.stringify(configOf(parts, folder, report)));
    const tests = new Set(parts.flatMap(({ subject }) => subject.tests));
    const failure = await runStryker(config, [...tests].join(','), atMostMs);
    if (failure === 'late') return undefined;
    if (failure !== undefined) throw new Error(`Stryker did not end well:\n${failure}`);
    const seconds = Math.round((performance.now() - began) / 100) / 10;
    return { ...readReport(report), seconds };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function configOf(parts: readonly Part[], folder: string, report: string): object {
  const ranges = ({ subject: { file }, lines }: Part): string[] =>
    lines ? lines.map(([from, upTo]) => `${file}:${from}-${upTo}`) : [file];
  return {
    packageManager: 'npm',
    plugins: ['@stryker-mutator/vitest-runner'],
    testRunner: 'vitest',
    vitest: { configFile: 'mutants/vitest.config.ts' },
    mutate: parts.flatMap(ranges),
    mutator: { excludedMutations: ['StringLiteral'] },
    coverageAnalysis: 'perTest',
    concurrency: availableParallelism(),
    timeoutMS: 20_000,
    reporters: ['json'],
    jsonReporter: { fileName: report },
    tempDirName: join(folder, 'sandbox'),
    // Stryker reads a tsconfig with TypeScript's old interface, which TypeScript 7 does not have. Nothing of ours needs to be rewritten.
    tsconfigFile: 'mutants/no-tsconfig.json',
    ignorePatterns: ['bench', 'deploy', 'dist', 'grafana', 'prometheus', 'site', '.waybill'],
    allowConsoleColors: false,
  };
}

async function runStryker(config: string, tests: string, atMostMs?: number): Promise<string | undefined> {
  const bin = join(here, 'node_modules/@stryker-mutator/core/bin/stryker.js');
  const child = spawn(process.execPath, [bin, 'run', config], {
    cwd: root,
    env: { ...process.env, MUTANTS_TESTS: tests },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-4_000)));
  let isLate = false;
  const late = (): void => {
    isLate = true;
    child.kill('SIGTERM');
  };
  const timer = atMostMs === undefined ? undefined : setTimeout(late, atMostMs);
  const [code] = (await once(child, 'close')) as [number | null];
  clearTimeout(timer);
  if (isLate) return 'late';
  return code === 0 ? undefined : output;
}

type Position = { readonly line: number; readonly column: number };
type Report = {
  readonly files: Readonly<
    Record<
      string,
      {
        readonly source: string;
        readonly mutants: readonly {
          readonly status: string;
          readonly replacement?: string;
          readonly location: { readonly start: Position; readonly end: Position };
        }[];
      }
    >
  >;
};

function readReport(path: string): Pick<Mutated, 'killed' | 'survived'> {
  const { files } = JSON.parse(readFileSync(path, 'utf8')) as Report;
  let killed = 0;
  const survived: Change[] = [];
  for (const [file, { source, mutants }] of Object.entries(files)) {
    const lines = source.split('\n');
    for (const { status, replacement = '', location } of mutants) {
      if (status === 'Killed' || status === 'Timeout') killed++;
      else if (status === 'Survived' || status === 'NoCoverage') {
        const line = lines[location.start.line - 1]!.trim();
        survived.push({ file, line, from: textAt(lines, location), to: collapsed(replacement) });
      }
    }
  }
  return { killed, survived };
}

function textAt(
  lines: readonly string[],
  { start, end }: { readonly start: Position; readonly end: Position },
): string {
  const its = lines.slice(start.line - 1, end.line);
  its[its.length - 1] = its.at(-1)!.slice(0, end.column - 1);
  its[0] = its[0]!.slice(start.column - 1);
  return collapsed(its.join('\n'));
}
