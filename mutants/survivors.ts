// Mutants that survive, each with the reason (survivors.json). Any other survivor is a gap in the tests.

import { readFileSync } from 'node:fs';

/** A mutant of Stryker, told by its text, so that it is found again when lines move. */
export type Change = {
  readonly file: string;
  /** The line on which it begins, without indentation. */
  readonly line: string;
  /** What is replaced, and by what; white space is collapsed. */
  readonly from: string;
  readonly to: string;
};

export type Survivors = {
  readonly named: readonly { readonly name: string; readonly reason: string }[];
  readonly stryker: readonly (Change & { readonly reason: string })[];
};

export function readSurvivors(): Survivors {
  return JSON.parse(readFileSync(new URL('survivors.json', import.meta.url), 'utf8')) as Survivors;
}

export const collapsed = (text: string): string => text.replace(/\s+/g, ' ').trim();

export const isSame = (a: Change, b: Change): boolean =>
  a.file === b.file && a.line === b.line && a.from === b.from && a.to === b.to;
