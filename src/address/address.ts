// The address alone, `local@domain`: which texts are valid, and the stored form. Reading takes time linear in the length of the text. Limits: RFC
// 5321 section 4.5.3.1 (local part 64, path 256 with its brackets), RFC 1035 section 2.3.4 (label 63).

import { domainToASCII } from 'node:url';
import type { Problem } from './problem.ts';

const maxLocal = 64;
const maxAddress = 254;

const atoms = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/; // RFC 5322 section 3.2.3, dot-atom
const label = /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;

export const invalidAddress = (message: string): Problem => ({ code: 'invalid_address', message });

/** Several addresses where one belongs. */
export const several: Problem = {
  code: 'one_address_per_string',
  message: 'one address in each text: use a list for several, such as ["a@shop.example", "b@shop.example"]',
};

export const group: Problem = {
  code: 'address_group_not_allowed',
  message: 'a group is no address: name its members',
};

export const quotedLocalPart: Problem = {
  code: 'quoted_local_part_not_allowed',
  message: 'quoted local parts are not accepted',
};

const noAddress = invalidAddress('this is no e-mail address of the form name@domain.tld');

/** @returns the address with its domain as A-labels in lower case, or what is wrong with it */
export function readAddress(text: string): string | Problem {
  if (text.length > maxAddress)
    return invalidAddress(
      `has ${text.length} characters; an e-mail address has at most ${maxAddress}, and each text holds one`,
    );
  const at = text.lastIndexOf('@');
  const strange = strangeForm(text);
  if (strange !== undefined) return strange;
  if (at < 1 || at === text.length - 1) return noAddress;
  const local = localProblem(text.slice(0, at));
  if (local !== undefined) return local;
  const domain = readDomain(text.slice(at + 1));
  if (domain === undefined) return noAddress;
  const address = `${text.slice(0, at)}@${domain}`;
  return address.length > maxAddress ? noAddress : address;
}

/** Other forms that people and programs write for an address, each with what to write instead. */
function strangeForm(text: string): Problem | undefined {
  if (text.startsWith('"')) return quotedLocalPart;
  if (/^mailto:/i.test(text)) return invalidAddress('is a link: write the address without mailto:');
  const colon = text.indexOf(':');
  if (colon >= 0 && (text.endsWith(';') || text.indexOf('@') > colon)) return group;
  if (/[,;]/.test(text)) return several;
  if (/[()]/.test(text))
    return invalidAddress('holds a comment in ( ), which is no part of an address: leave it away');
  if (/[[\]]/.test(text)) return invalidAddress('an IP address in [ ] is not accepted: write a domain');
  if (/\s/.test(text.trim()))
    return invalidAddress('holds a blank; a name goes before the address: Ann <ann@shop.example>');
  return undefined;
}

function localProblem(local: string): Problem | undefined {
  if (/[^\x20-\x7e]/.test(local))
    return { code: 'smtputf8_not_supported', message: 'the part before the @ must be ASCII' };
  if (local.length > maxLocal)
    return invalidAddress(
      `the part before the @ has ${local.length} characters; at most ${maxLocal} are allowed`,
    );
  return atoms.test(local) ? undefined : noAddress;
}

/** Undefined unless it is a domain with at least two labels. */
function readDomain(text: string): string | undefined {
  if (!/^[\p{L}\p{N}\p{M}.-]+$/u.test(text)) return undefined; // domainToASCII would decode or drop other characters
  const domain = domainToASCII(text).toLowerCase();
  const labels = domain.split('.');
  if (labels.length < 2 || !labels.every((one) => label.test(one)) || /^\d+$/.test(labels.at(-1)!))
    return undefined;
  return domain;
}
