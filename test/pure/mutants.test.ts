// The lists of `npm run mutants`: what they name is in the code. The mutants themselves are not tried here.

import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { mutated } from '../../mutants/mutant.ts';
import { named } from '../../mutants/named.ts';
import { scoreOf, type Result } from '../../mutants/run.ts';
import { subjects } from '../../mutants/subjects.ts';
import { collapsed, readSurvivors } from '../../mutants/survivors.ts';

const textOf = (file: string): string => readFileSync(file, 'utf8');
const survivors = readSurvivors();

describe('mutants', () => {
  it('apply to the code, each under a name of its own, and their tests exist', () => {
    expect(new Set(named.map(({ name }) => name)).size).toBe(named.length);
    for (const mutant of named) {
      const text = textOf(mutant.file);
      expect(mutated(text, mutant), mutant.name).not.toBe(text);
      for (const test of mutant.tests) expect(existsSync(test), test).toBe(true);
    }
    for (const { file, tests } of subjects)
      for (const one of [file, ...tests]) expect(existsSync(one), one).toBe(true);
  });

  it('that survive are still in the code, and have a reason', () => {
    for (const { name, reason } of survivors.named) {
      expect(
        named.some((one) => one.name === name),
        name,
      ).toBe(true);
      expect(reason.length, name).toBeGreaterThan(20);
    }
    for (const { file, line, from, reason } of survivors.stryker) {
      const text = textOf(file);
      expect(
        text.split('\n').some((one) => one.trim() === line),
        `${file}: ${line}`,
      ).toBe(true);
      expect(collapsed(text), `${file}: ${from}`).toContain(from);
      expect(reason.length, line).toBeGreaterThan(20);
    }
  });

  it('are a gap when they survive without a reason, and stale when they are listed and killed', () => {
    const change = { file: 'a.ts', line: 'if (b) c();', from: 'b', to: 'true' };
    const result: Result = {
      named: [
        { name: 'gone', seconds: 1, verdict: 'killed', by: 'a test' },
        { name: 'stays', seconds: 1, verdict: 'survived' },
        { name: 'odd', seconds: 1, verdict: 'broken', why: 'no output' },
      ],
      stryker: [{ file: 'a.ts', killed: 3, survived: [change], seconds: 1 }],
      leftOut: [],
    };
    const gaps = ['stays', 'a.ts: if (b) c();  [b → true]'];
    const figures = { mutants: 7, killed: 4, broken: ['odd'] };
    expect(scoreOf(result, { named: [], stryker: [] })).toEqual({ ...figures, gaps, stale: [] });
    const listed = {
      named: ['gone', 'stays'].map((name) => ({ name, reason: 'a reason' })),
      stryker: [{ ...change, reason: 'a reason' }],
    };
    expect(scoreOf(result, listed)).toEqual({ ...figures, gaps: [], stale: ['gone'] });
  });
});
