// Texts as a query string or a command line has them: one, several, or one of known words.

import { nearest } from '../nearest.ts';
import { WaybillError } from '../errors.ts';

export type Texts = string | readonly string[] | undefined;

export function several(part: string, given: Texts): readonly string[] | undefined {
  if (given === undefined) return undefined;
  const all = typeof given === 'string' ? [given] : given;
  if (all.some((one) => one === '' || one.includes('\0')))
    throw new WaybillError('invalid_filter', `${part} is empty or holds U+0000`);
  return all;
}

export function single(part: string, given: Texts): string | undefined {
  const all = several(part, given);
  if (all && all.length > 1) throw new WaybillError('invalid_filter', `${part} may be given once`);
  return all?.[0];
}

/** @throws WaybillError `invalid_…` with the word that was probably meant */
export function knownWord<T extends string>(part: string, words: readonly T[], text: string, what = part): T {
  const word = words.find((one) => one === text);
  if (word !== undefined) return word;
  const meant = nearest(text, words);
  const hint = `${meant ? `did you mean ${meant}? ` : ''}There are ${words.join(', ')}`;
  throw new WaybillError(`invalid_${part}`, `${JSON.stringify(text.slice(0, 80))} is no ${what}: ${hint}`);
}
