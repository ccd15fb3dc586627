// The mailbox: a display name and an address. It comes from people, from configuration and from reports, and we write it too. There is one reader and
// one writer, so every accepted address can be sent to, and every sent address is recognised. Mail libraries parse address strings again and find
// groups, lists and comments in them, so only the separate parts are passed on.

import { decodeWords } from './encoded-word.ts';
import { group, invalidAddress, quotedLocalPart, readAddress, several } from './address.ts';
import { textProblem, type Problem } from './problem.ts';

/** `a@b.test`, `Ann <a@b.test>`, or the two as separate fields. */
export type AddressInput = string | { readonly name?: string | undefined; readonly address: string };

/** A checked address, its domain in the form of the DNS. */
export type Address = { readonly name?: string; readonly address: string };

const maxName = 256;
/** Room for a name of 256 characters as encoded words, and an address. */
const maxText = 4_000;

/**
 * `a@b.test`, `Ann <a@b.test>`, `"Doe, Ann" <a@b.test>` or `{ name, address }` → the parts, with the domain as A-labels.
 * @returns the address, or what is wrong with it and what to write instead
 */
export function parseAddress(input: unknown): Address | Problem {
  if (typeof input === 'string') return readMailbox(input);
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    return invalidAddress('must be a text or { name, address }');
  const { name, address, ...more } = input as { name?: unknown; address?: unknown };
  const [unknown] = Object.keys(more);
  if (typeof address === 'string' && unknown !== undefined) {
    const message = `an address has name and address, and no ${unknown.slice(0, 80)}`;
    return { code: 'unknown_field', message };
  }
  if (typeof address !== 'string' || (name !== undefined && typeof name !== 'string'))
    return invalidAddress('must be a text or { name, address }');
  return tooLong(address) ?? oneLine(address) ?? withName(name, readAddress(address));
}

/** Whether a text is one bare address that mail can be sent to. For schemas of applications. */
export function isEmailAddress(text: string): boolean {
  const parsed = parseAddress(text);
  return typeof text === 'string' && 'address' in parsed && parsed.name === undefined;
}

/** The address in a report's text about a recipient. The name may have lost its quotes; only the address matters. */
export function reportedAddress(text: string): string | undefined {
  const parsed = readMailbox(text);
  if ('address' in parsed) return parsed.address;
  const inner = text.length <= maxText ? /<([^<>]*)>\s*$/.exec(text.slice(-300))?.[1] : undefined;
  const address = inner === undefined ? undefined : readAddress(inner.trim());
  return typeof address === 'string' ? address : undefined;
}

/** RFC 5322, section 3.4: a name with other characters than words is quoted, so nothing in it is syntax. */
export function writeMailbox({ name, address }: Address): string {
  if (name === undefined) return address;
  const words = /^[\p{L}\p{M}\p{N} ]+$/u.test(name);
  return `${words ? name : `"${name.replaceAll(/["\\]/g, '\\$&')}"`} <${address}>`;
}

function readMailbox(input: string): Address | Problem {
  const unreadable = tooLong(input) ?? oneLine(input);
  if (unreadable) return unreadable;
  const text = input.trim();
  const open = angle(text);
  if (open === 'unclosed')
    return invalidAddress('a quote is not closed; in a name in quotes, a quote is written \\"');
  if (open === -1)
    return text.startsWith('"') ? quotedWithoutAngle(text) : withName(undefined, readAddress(text));
  const close = text.indexOf('>', open);
  if (close === -1) return invalidAddress('the < before the address has no > after it');
  const [phrase, rest] = [text.slice(0, open).trim(), text.slice(close + 1).trim()];
  if (rest !== '') return afterwards(phrase, rest);
  const address = readAddress(text.slice(open + 1, close).trim());
  if (typeof address !== 'string') return address;
  const name = nameIn(phrase);
  return typeof name === 'string' ? withName(name, address) : unquoted(phrase, address);
}

/** The position of the address's `<`, the first outside of quotes; −1 when there is none. */
function angle(text: string): number | 'unclosed' {
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '<') return i;
    if (text[i] !== '"') continue;
    i = closingQuote(text, i);
    if (i === -1) return 'unclosed';
  }
  return -1;
}

/** @returns −1 when there is none */
function closingQuote(text: string, open: number): number {
  for (let i = open + 1; i < text.length; i++) {
    if (text[i] === '\\') i += 1;
    else if (text[i] === '"') return i;
  }
  return -1;
}

/** Removes the escapes of a quoted name. Other names stay unchanged, with encoded words decoded. Undefined when the name needs quotes. */
function nameIn(phrase: string): string | undefined {
  if (phrase.startsWith('"') && closingQuote(phrase, 0) === phrase.length - 1)
    return phrase.slice(1, -1).replaceAll(/\\(.)/gu, '$1');
  if (/[<>,;:@]/.test(phrase)) return undefined;
  return phrase.includes('=?') ? decodeWords(phrase) : phrase;
}

function withName(given: string | undefined, address: string | Problem): Address | Problem {
  if (typeof address !== 'string') return address;
  const name = given?.trim() ?? '';
  if (name === '') return { address };
  if (name.length > maxName)
    return invalidAddress(`the name has ${name.length} characters; at most ${maxName} are allowed`);
  return oneLine(name) ?? { name, address };
}

function oneLine(text: string): Problem | undefined {
  return textProblem(text, { oneLine: true });
}

function tooLong(text: string): Problem | undefined {
  if (text.length <= maxText) return undefined;
  return invalidAddress(
    `has ${text.length} characters, too many for a name and an address: use a list for several`,
  );
}

function quotedWithoutAngle(text: string): Problem {
  const after = text[closingQuote(text, 0) + 1];
  if (after === '@') return quotedLocalPart;
  return invalidAddress('the address after a name stands in < >: "Doe, Ann" <ann@shop.example>');
}

/** A text after the `>`: more addresses, the end of a group, or something invalid. */
function afterwards(phrase: string, rest: string): Problem {
  if (phrase.includes(':') && rest.endsWith(';')) return group;
  if (/^[,;]/.test(rest)) return several;
  return invalidAddress('nothing may follow the > of the address');
}

/** The name would be read as a list, a group or an address. It must be written as one, or in quotes. */
function unquoted(phrase: string, address: string): Problem {
  if (/[,;]/.test(phrase) && phrase.includes('@')) return several;
  const written = writeMailbox({ name: phrase.replaceAll('"', ''), address });
  const example = written.length <= 120 ? written : '"Doe, Ann" <ann@shop.example>';
  const message = `a name with , ; : @ < or > stands in quotes: write ${example}`;
  return { code: 'name_not_quoted', message };
}
