// A trial of a named mutant: its tests run on the mutated copy, and one of them must fail.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Mutant } from './mutant.ts';
import type { Tree } from './tree.ts';

export type Verdict =
  /** `by`: the test that failed, or that the tests did not end. */
  | { readonly verdict: 'killed'; readonly by: string }
  | { readonly verdict: 'survived' }
  /** The tests could not run: nothing is known of the mutant. */
  | { readonly verdict: 'broken'; readonly why: string };

export type Trial = { readonly name: string; readonly seconds: number } & Verdict;

/** Tests that last longer wait for what the mutant took away. */
const longestMs = 180_000;

export async function tried(tree: Tree, mutant: Mutant): Promise<Trial> {
  const began = performance.now();
  const verdict = await tree.withMutant(mutant, () => testsOf(tree, mutant));
  return { name: mutant.name, seconds: Math.round((performance.now() - began) / 100) / 10, ...verdict };
}

/** Whether the tests pass without a mutant; a failure names them. */
export async function unmutated(tree: Tree, mutants: readonly Mutant[]): Promise<Verdict> {
  return testsOf(tree, { tests: [...new Set(mutants.flatMap(({ tests }) => tests))] }, 10 * longestMs);
}

async function testsOf(
  { folder }: Tree,
  { tests, only }: Pick<Mutant, 'tests' | 'only'>,
  atMostMs = longestMs,
): Promise<Verdict> {
  const report = join(folder, 'report.json');
  rmSync(report, { force: true });
  const args = ['node_modules/vitest/vitest.mjs', 'run', ...tests, '--bail=1', '--reporter=json'];
  args.push(`--outputFile=${report}`, ...(only === undefined ? [] : ['-t', only]));
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(-2_000)));
  let isLate = false;
  const ends = [
    setTimeout(() => {
      isLate = true;
      child.kill('SIGTERM');
    }, atMostMs),
    setTimeout(() => child.kill('SIGKILL'), atMostMs + 20_000),
  ];
  await once(child, 'close');
  for (const end of ends) clearTimeout(end);
  if (isLate) return { verdict: 'killed', by: `its tests did not end within ${atMostMs / 1_000} s` };
  return verdictOf(report, errors);
}

type Report = {
  readonly numTotalTests: number;
  readonly numPassedTests: number;
  readonly success: boolean;
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
};

function verdictOf(file: string, errors: string): Verdict {
  let report: Report;
  try {
    report = JSON.parse(readFileSync(file, 'utf8')) as Report;
  } catch {
    return { verdict: 'broken', why: lastLine(errors) };
  }
  const failed = report.testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .find(({ status }) => status === 'failed');
  if (failed) return { verdict: 'killed', by: failed.fullName.trim() };
  if (!report.success) {
    const why = report.testResults.map(({ message }) => message).find((message) => message !== '');
    return { verdict: 'broken', why: lastLine(why ?? errors) };
  }
  if (report.numPassedTests === 0) return { verdict: 'broken', why: 'no test has a name that fits `only`' };
  return { verdict: 'survived' };
}

const lastLine = (text: string): string => text.trim().split('\n')[0]?.slice(0, 200) || 'no output';
