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

const shapes = {
  to: [/.@./, 'an address, such as ann@example.com'],
  traceId: [/^[0-9a-f]{32}$/i, 'the trace id of a traceparent: 32 hex digits'],
  parentId: [/^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i, 'the id of a message: a UUID'],
} as const;

/**
 * Several texts that nothing matches unless they have a certain form. An address is only looked at roughly, because SQL records any.
 * @throws WaybillError `invalid_filter`
 */
export function shaped(part: keyof typeof shapes, given: Texts): readonly string[] | undefined {
  const [shape, what] = shapes[part];
  const all = several(part, given);
  const wrong = all?.find((text) => !shape.test(text));
  if (wrong === undefined) return all;
  throw new WaybillError('invalid_filter', `${part} must be ${what}`);
}

/** @throws WaybillError `invalid_…` with the word that was probably meant */
export function knownWord<T extends string>(part: string, words: readonly T[], text: string, what = part): T {
  const word = words.find((one) => one === text);
  if (word !== undefined) return word;
  const meant = nearest(text, words);
  const hint = `${meant ? `did you mean ${meant}? ` : ''}There are ${words.join(', ')}`;
  throw new WaybillError(`invalid_${part}`, `${JSON.stringify(text.slice(0, 80))} is no ${what}: ${hint}`);
}
