// The search field: `word:value` tokens become the filter of messages, and bare text is tried as an id, an address or a delivery key.

import { nearest } from '../nearest.ts';
import { WaybillError } from '../errors.ts';
import type { Role } from '../config/admin-keys.ts';
import { isMessageId } from '../operate/read.ts';
import { knownWord } from '../operate/texts.ts';
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
  order: 'orderKey',
  request: 'requestId',
  trace: 'traceId',
  parent: 'parentId',
  worker: 'claimedBy',
  name: 'name',
  kind: 'kind',
  queue: 'queue',
  status: 'status',
  error: 'errorContains',
  cause: 'cause',
  outcome: 'outcome',
  since: 'since',
  until: 'until',
  died: 'deadSince',
  payload: 'payload',
};

const part = /(?:(payload\.[^\s:"]+|[A-Za-z][\w.]*):)?(?:"([^"]*)"|(\S+))/g;

/**
 * @param text what the person typed, at most 1,000 characters
 * @throws WaybillError `invalid_search` with the token that was probably meant, `invalid_status`
 */
export function readSearch(text: string): Search {
  const trimmed = text.trim();
  if (isMessageId(trimmed)) return { kind: 'message', id: trimmed.toLowerCase() };
  const filter: Record<string, string[]> = {};
  for (const [whole, word, quoted, plain] of trimmed.matchAll(part)) {
    if (plain?.startsWith('"')) throw wrong(`the quote ${JSON.stringify(plain.slice(0, 40))} has no end`);
    const value = quoted ?? plain ?? '';
    for (const [name, text] of word === undefined ? bare(value) : meaningOf(word, value, whole))
      (filter[name] ??= []).push(text);
  }
  return {
    kind: 'filter',
    filter: Object.fromEntries(
      Object.entries(filter).map(([name, values]) => [name, values.length === 1 ? values[0]! : values]),
    ),
  };
}

type Pairs = readonly (readonly [parameter: string, text: string])[];

function bare(value: string): Pairs {
  const word = value.endsWith(':') ? value.slice(0, -1) : '';
  if (isToken(word))
    throw wrong(`${word}: needs a value right behind it, such as ${word}:${examples[word] ?? 'x'}`);
  return [[/.@./.test(value) ? 'to' : 'deliveryKey', value]];
}

const examples: Readonly<Record<string, string>> = { to: 'ann@example.com', status: 'dead', since: '1h' };

const isToken = (word: string): boolean => Object.hasOwn(tokens, word.toLowerCase());

function meaningOf(word: string, value: string, whole: string): Pairs {
  const path = /^payload\.(.+)$/i.exec(word)?.[1];
  if (path !== undefined) return [['payload', `${path}=${value}`]];
  if (!isToken(word)) throw unknownToken(word, whole);
  const name = tokens[word.toLowerCase()]!;
  if (name === 'status' && value === 'scheduled')
    return [
      ['status', 'pending'],
      ['availableSince', 'now'],
    ];
  return [[name, valueOf(name, value)]];
}

function unknownToken(word: string, whole: string): WaybillError {
  const known = Object.keys(tokens);
  const meant = nearest(word, known);
  return wrong(
    `there is no token ${JSON.stringify(word.slice(0, 40))}: ${meant ? `did you mean ${meant}:? ` : ''}There are ${known.map((one) => `${one}:`).join(' ')}. A delivery key with a colon is found with key:"${whole.slice(0, 60)}"`,
  );
}

const wrong = (text: string): WaybillError => new WaybillError('invalid_search', text);

/** States as people say them. */
const stateWords = ['waiting', 'scheduled', 'running', 'retrying', 'dead', 'cancelled', 'delivered'];

/** @throws WaybillError `invalid_status` with the words of the console */
function valueOf(name: string, value: string): string {
  if (name !== 'status' || statuses.some((one) => one === value)) return value;
  const word = knownWord('status', stateWords, value, 'state');
  return statuses.find((one) => statusWords[one] === word)!;
}

/**
 * The tokens of a filter, as they would be typed. A quote in a value is left out, because none can be typed within one.
 * @param filter parameters of the admin API
 */
export function searchText(filter: object): string {
  const words = new Map(Object.entries(tokens).map(([word, name]) => [name, word]));
  return Object.entries(filter)
    .filter(([, value]) => value !== undefined && value !== null)
    .flatMap(([name, values]) =>
      [values].flat().map((value) => `${words.get(name) ?? name}:${typed(name, String(value))}`),
    )
    .join(' ');
}

function typed(name: string, value: string): string {
  const word = name === 'status' ? (statusWords[value as keyof typeof statusWords] ?? value) : value;
  return /^[^\s"]+$/.test(word) ? word : `"${word.replaceAll('"', '')}"`;
}

/**
 * Only an admin may search in payloads: whoever may ask for a value has read it.
 * @throws WaybillError `forbidden`
 */
export function checkSearch(filter: Parameters, { role }: { readonly role: Role }): void {
  if (filter['payload'] !== undefined && role !== 'admin')
    throw new WaybillError(
      'forbidden',
      `payload: searches in contents, which needs the role admin, not ${role}`,
    );
}
