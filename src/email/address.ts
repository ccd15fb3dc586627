// Addresses: what may be one, how it is stored, how it may be shown. nodemailer parses address strings again and finds groups, lists and
// comments in them (FACTS 16), so a string is taken apart here, once, and only the parts go on.
// Limits: RFC 5321 section 4.5.3.1 (local part 64, path 256 with its brackets), RFC 1035 section 2.3.4 (label 63).

import { domainToASCII } from 'node:url';
import { textProblem, type Problem } from './problem.ts';

/** `a@b.test`, `Ann <a@b.test>`, or the two apart. */
export type AddressInput = string | { readonly name?: string | undefined; readonly address: string };

export type Address = { readonly name?: string; readonly address: string };

class AddressError extends Error {
  override readonly name = 'AddressError';
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

const atext = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/; // RFC 5322 section 3.2.3, dot-atom
/** A display name and an address; more is an attempt at something else. */
const maxMailbox = 600;
const maxName = 256;
const label = /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;

/**
 * `a@b.test`, `Ann <a@b.test>` or `{ name, address }` → the parts, with the domain as A-labels.
 * @returns the address, or what is wrong with it
 */
export function parseAddress(input: unknown): Address | Problem {
  try {
    if (typeof input === 'string') return takeApart(input);
    const { name, address, ...more } = (input ?? {}) as { name?: unknown; address?: unknown };
    const [unknown] = Object.keys(more);
    if (typeof address === 'string' && unknown !== undefined)
      return {
        code: 'unknown_field',
        message: `an address has name and address, and no ${unknown.slice(0, 80)}`,
      };
    if (typeof address !== 'string' || (name !== undefined && typeof name !== 'string'))
      return { code: 'invalid_address', message: 'must be a text or { name, address }' };
    return withName(name, bareAddress(address));
  } catch (error) {
    if (error instanceof AddressError) return { code: error.code, message: error.message };
    throw error;
  }
}

function takeApart(input: string): Address {
  if (input.length > maxMailbox) invalid();
  rejectControls(input);
  const match = /^\s*(?:"([^"<>]*)"|([^"<>,;:@]*))\s*<([^<>]*)>\s*$/.exec(input);
  if (match) return withName((match[1] ?? match[2] ?? '').trim() || undefined, bareAddress(match[3]!));
  return { address: bareAddress(input.trim()) };
}

function withName(name: string | undefined, address: string): Address {
  if (name === undefined || name === '') return { address };
  rejectControls(name);
  if (name.length > maxName)
    throw new AddressError(
      'invalid_address',
      `the name has ${name.length} characters; at most ${maxName} are allowed`,
    );
  return { name, address };
}

function rejectControls(text: string): void {
  const problem = textProblem(text, { oneLine: true });
  if (problem) throw new AddressError(problem.code, problem.message);
}

function bareAddress(text: string): string {
  rejectControls(text);
  if (text.startsWith('"'))
    throw new AddressError('quoted_local_part_not_allowed', 'quoted local parts are not accepted');
  if (/^[^@]*:.*;?\s*$/.test(text))
    throw new AddressError('address_group_not_allowed', 'a group is no address: name its members');
  if (/[,;]/.test(text))
    throw new AddressError('one_address_per_string', 'one address in each text: use a list for several');
  const at = text.lastIndexOf('@');
  const [local, domain] = [text.slice(0, at), text.slice(at + 1)];
  if (at < 1 || domain === '') invalid();
  if (/[^\x20-\x7e]/.test(local))
    throw new AddressError('smtputf8_not_supported', 'the part before the @ must be ASCII');
  if (!/^[\p{L}\p{N}\p{M}.-]+$/u.test(domain)) invalid(); // what domainToASCII would decode or drop
  const ascii = domainToASCII(domain).toLowerCase();
  const labels = ascii.split('.');
  if (!atext.test(local) || local.length > 64 || labels.length < 2 || !labels.every((one) => label.test(one)))
    invalid();
  if (/^\d+$/.test(labels.at(-1)!)) invalid();
  const address = `${local}@${ascii}`;
  if (address.length > 254) invalid();
  return address;
}

function invalid(): never {
  throw new AddressError('invalid_address', 'this is no e-mail address of the form name@domain.tld');
}

/** Whether a text is one bare address that mail can be sent to. For the schemas of applications. */
export function isEmailAddress(text: string): boolean {
  const parsed = parseAddress(text);
  return 'address' in parsed && parsed.name === undefined;
}
