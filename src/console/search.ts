// The search field: `word:value` tokens become the filter of messages, and bare text is tried as an id, an address or a delivery key.

import { nearest } from '../nearest.ts';
import { WaybillError } from '../errors.ts';
import { isMessageId } from '../operate/read.ts';
import { statuses } from '../message/message.ts';
import { statusWords } from './status.ts';

/** The filter's parameters as the admin API has them. */
export type Parameters = Readonly<Record<string, string | string[]>>;

export type Search =
  | { readonly kind: 'message'; readonly id: string }
  | { readonly kind: 'filter'; readonly filter: Parameters };

/** Tokens of the field, and the parameter of each. */
export const tokens: Readonly<Record<string, string>> = {
  to: 'to',
  key: 'deliveryKey',
  prefix: 'keyPrefix',
  tag: 'tag',
  group: 'group',
  request: 'requestId',
  trace: 'traceId',
  parent: 'parentId',
  name: 'name',
  kind: 'kind',
  queue: 'queue',
  status: 'status',
  error: 'errorContains',
  cause: 'cause',
  outcome: 'outcome',
  since: 'since',
  until: 'until',
};

const part = /(?:([A-Za-z][\w.]*):)?(?:"([^"]*)"|(\S+))/g;

/**
 * @param text what the person typed, at most 1,000 characters
 * @param now milliseconds of the epoch, for `since:1h`
 * @throws WaybillError `invalid_search` with the token that was probably meant
 */
export function readSearch(text: string, now: number): Search {
  const trimmed = text.trim();
  if (isMessageId(trimmed)) return { kind: 'message', id: trimmed.toLowerCase() };
  const filter: Record<string, string[]> = {};
  for (const [whole, word, quoted, plain] of trimmed.matchAll(part)) {
    const value = quoted ?? plain ?? '';
    const name = word === undefined ? (value.includes('@') ? 'to' : 'deliveryKey') : parameterOf(word, whole);
    (filter[name] ??= []).push(valueOf(name, value, now));
  }
  return {
    kind: 'filter',
    filter: Object.fromEntries(
      Object.entries(filter).map(([name, values]) => [name, values.length === 1 ? values[0]! : values]),
    ),
  };
}

function parameterOf(word: string, whole: string): string {
  const found = tokens[word.toLowerCase()];
  if (found !== undefined) return found;
  const known = Object.keys(tokens);
  const meant = nearest(word, known);
  throw new WaybillError(
    'invalid_search',
    `there is no token ${JSON.stringify(word.slice(0, 40))}: ${meant ? `did you mean ${meant}:? ` : ''}There are ${known.map((one) => `${one}:`).join(' ')}. A delivery key with a colon is found with key:"${whole.slice(0, 60)}"`,
  );
}

const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** States as people say them, and times before now such as `1h`. */
function valueOf(name: string, value: string, now: number): string {
  if (name === 'status') return statuses.find((one) => statusWords[one] === value) ?? value;
  const [, count, unit] =
    (name === 'since' || name === 'until' ? /^(\d{1,6})([smhd])$/ : /^$/).exec(value) ?? [];
  if (count === undefined || unit === undefined) return value;
  return new Date(now - Number(count) * units[unit]! * 1_000).toISOString();
}
