// npm run mutants -- [--only NAME] [--changed [--since REV]] [--seconds N] [--json]
//
// Breaks the engine in many places, one at a time, and demands that a test notices each. It fails when fewer than 95 % are killed, or when a mutant
// survives that survivors.json does not list with a reason. --only runs one named mutant, or one file of Stryker's (subjects.ts); it may be given
// several times. --changed runs those of files that changed since this work left main, or since REV, within a minute or --seconds.

import { parseArgs } from 'node:util';
import { baseOf, changedSince } from './changed.ts';
import { named } from './named.ts';
import { byName, run, scoreOf, target, type Result, type Score, type Wanted } from './run.ts';
import { subjects } from './subjects.ts';
import { readSurvivors } from './survivors.ts';

const all: Wanted = { mutants: named, parts: subjects.map((subject) => ({ subject })) };

try {
  process.exitCode = await main();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 2;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      changed: { type: 'boolean', default: false },
      since: { type: 'string' },
      only: { type: 'string', multiple: true },
      seconds: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const isShort = values.changed || values.since !== undefined;
  const seconds = Number(values.seconds ?? (isShort ? 60 : Number.NaN));
  if (values.seconds !== undefined && !(seconds > 0)) throw new Error('--seconds takes a number above 0');
  const since = values.since ?? (isShort ? baseOf() : undefined);
  if (isShort && since === undefined) {
    console.error('***** NO MUTANT WAS TRIED: this folder has no earlier commit to compare with');
    return 0;
  }
  const wanted = since === undefined ? chosen(values.only) : changedOf(since);
  if (wanted.mutants.length + wanted.parts.length === 0) {
    console.log(`nothing that a mutant breaks has changed since ${since}`);
    return 0;
  }
  const result = await run(
    wanted,
    (line) => console.error(line),
    Number.isNaN(seconds) ? undefined : seconds * 1_000,
  );
  const score = scoreOf(result, readSurvivors());
  if (values.json) console.log(JSON.stringify({ ...score, ...result }));
  else print(result, score);
  const isComplete = since === undefined && values.only === undefined;
  return isGood(score, isComplete) ? 0 : 1;
}

function chosen(only: readonly string[] | undefined): Wanted {
  if (only === undefined) return all;
  const each = only.map((name) => byName(name, all));
  return { mutants: each.flatMap(({ mutants }) => mutants), parts: each.flatMap(({ parts }) => parts) };
}

function changedOf(since: string): Wanted {
  const changed = changedSince(since);
  return {
    mutants: named.filter(({ file }) => changed.has(file)),
    parts: subjects.flatMap((subject) => {
      const lines = changed.get(subject.file);
      return lines && lines.length > 0 ? [{ subject, lines }] : [];
    }),
  };
}

/** The share counts for a whole run: of few mutants, one listed survivor would be too many. */
function isGood({ mutants, killed, gaps, broken }: Score, isComplete: boolean): boolean {
  return gaps.length === 0 && broken.length === 0 && (!isComplete || killed >= target * mutants);
}

function print(
  { named: trials, stryker, leftOut }: Result,
  { mutants, killed, gaps, stale, broken }: Score,
): void {
  const share = mutants === 0 ? '' : ` (${((100 * killed) / mutants).toFixed(1)} %)`;
  const seconds = [...trials, ...stryker].reduce((sum, one) => sum + one.seconds, 0);
  console.log(`${mutants} mutants, ${killed} killed${share}, in ${Math.round(seconds)} s`);
  const lists: readonly (readonly [string, readonly string[]])[] = [
    ['survive, and mutants/survivors.json gives no reason: write the test, or the reason', gaps],
    ['could not be tried: change the mutant or its tests', broken],
    ['are killed now: take them out of mutants/survivors.json', stale],
    ['were left out, because the time was over', leftOut],
  ];
  for (const [title, its] of lists) {
    if (its.length === 0) continue;
    console.log(`\n${its.length} ${title}`);
    for (const one of its) console.log(`  ${one}`);
  }
}
