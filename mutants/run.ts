// One run: trials of the named mutants and of Stryker's, within a time, and what they say about the tests.

import { named } from './named.ts';
import type { Mutant } from './mutant.ts';
import { installStryker, mutate, type Mutated, type Part } from './stryker.ts';
import { isSame, type Change, type Survivors } from './survivors.ts';
import { copyTree } from './tree.ts';
import { tried, unmutated, type Trial } from './trial.ts';

export type Wanted = { readonly mutants: readonly Mutant[]; readonly parts: readonly Part[] };

export type Told = (line: string) => void;

export type Result = {
  readonly named: readonly Trial[];
  readonly stryker: readonly ({ readonly file: string } & Mutated)[];
  /** Mutants and files for which there was no time. */
  readonly leftOut: readonly string[];
};

/** Share of mutants that must be killed. */
export const target = 0.95;

/**
 * @param atMostMs for all; default: no limit, and the tests are first run without a mutant
 * @throws Error when the tests fail without a mutant, when a mutant does not apply, and when Stryker fails
 */
export async function run({ mutants, parts }: Wanted, told: Told, atMostMs?: number): Promise<Result> {
  const began = performance.now();
  const until = began + (atMostMs ?? Number.POSITIVE_INFINITY);
  const leftOut: string[] = [];
  // Of a short time, Stryker gets half: what it does not use is for the named mutants.
  const half = mutants.length > 0 && atMostMs !== undefined ? began + atMostMs / 2 : until;
  const stryker = await runStryker(parts, { until: half, told, leftOut });
  const check = atMostMs === undefined;
  return { named: await runNamed(mutants, { until, check, told, leftOut }), stryker, leftOut };
}

async function runStryker(parts: readonly Part[], { until, told, leftOut }: Omit<Within, 'check'>) {
  if (parts.length > 0) installStryker();
  const all: (Mutated & { file: string })[] = [];
  for (const part of parts) {
    const { file } = part.subject;
    const left = until - performance.now();
    const done = left <= 0 ? undefined : await mutate([part], Number.isFinite(left) ? left : undefined);
    if (done === undefined) leftOut.push(file);
    else {
      all.push({ file, ...done });
      told(`${file}  ${done.killed} killed, ${done.survived.length} survived  ${done.seconds} s`);
    }
  }
  return all;
}

type Within = {
  readonly until: number;
  /** Whether the tests must first pass without a mutant. */
  readonly check: boolean;
  readonly told: Told;
  readonly leftOut: string[];
};

async function runNamed(
  mutants: readonly Mutant[],
  { until, check, told, leftOut }: Within,
): Promise<Trial[]> {
  if (mutants.length === 0) return [];
  const tree = copyTree();
  try {
    if (check) await checkTests(tree, mutants, told);
    const trials: Trial[] = [];
    let longest = 0;
    for (const mutant of mutants) {
      if (performance.now() + longest > until) {
        leftOut.push(mutant.name);
        continue;
      }
      const trial = await tried(tree, mutant);
      longest = Math.max(longest, trial.seconds * 1_000);
      trials.push(trial);
      told(lineOf(trial));
    }
    return trials;
  } finally {
    tree.end();
  }
}

async function checkTests(tree: Parameters<typeof unmutated>[0], mutants: readonly Mutant[], told: Told) {
  told('the tests without a mutant');
  const plain = await unmutated(tree, mutants);
  if (plain.verdict === 'survived') return;
  const why = plain.verdict === 'killed' ? plain.by : plain.why;
  throw new Error(`a test fails without any mutant, so mutants prove nothing: ${why}`);
}

function lineOf(trial: Trial): string {
  const more =
    trial.verdict === 'killed' ? `  by: ${trial.by}` : trial.verdict === 'broken' ? `  ${trial.why}` : '';
  return `${trial.verdict.padEnd(8)}  ${trial.name}  ${trial.seconds} s${more}`.slice(0, 200);
}

export type Score = {
  readonly mutants: number;
  readonly killed: number;
  /** Survivors that survivors.json does not list. */
  readonly gaps: readonly string[];
  /** Listed as survivors, and killed now: to be taken from the list. */
  readonly stale: readonly string[];
  /** Mutants whose tests could not run. */
  readonly broken: readonly string[];
};

export function scoreOf({ named: trials, stryker }: Result, listed: Survivors): Score {
  const isListed = (name: string): boolean => listed.named.some((one) => one.name === name);
  const of = (verdict: Trial['verdict']): string[] =>
    trials.filter((one) => one.verdict === verdict).map(({ name }) => name);
  const survived = stryker.flatMap((one) => one.survived);
  return {
    mutants: trials.length + stryker.reduce((sum, one) => sum + one.killed, 0) + survived.length,
    killed: of('killed').length + stryker.reduce((sum, one) => sum + one.killed, 0),
    gaps: [
      ...of('survived').filter((name) => !isListed(name)),
      ...survived.filter((one) => !listed.stryker.some((other) => isSame(one, other))).map(changeText),
    ],
    stale: of('killed').filter(isListed),
    broken: of('broken'),
  };
}

export const changeText = ({ file, line, from, to }: Change): string => `${file}: ${line}  [${from} → ${to}]`;

/** @throws Error when nothing has the name, with those that are like it */
export function byName(name: string, wanted: Wanted): Wanted {
  const mutants = wanted.mutants.filter((one) => one.name === name);
  const parts = wanted.parts.filter(({ subject }) => subject.file === name);
  if (mutants.length + parts.length > 0) return { mutants, parts };
  const like = named.map((one) => one.name).filter((one) => one.includes(name) || name.includes(one));
  const known =
    like.length > 0
      ? like
      : [...named.map((one) => one.name), ...wanted.parts.map(({ subject }) => subject.file)];
  throw new Error(`no mutant and no file is called ${name}; there are ${known.join(', ')}`);
}
