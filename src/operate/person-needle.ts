// What a person is found by: an address in each form in which a text may have it, and the conditions that find it.

import { domainToASCII, domainToUnicode } from 'node:url';
import type { Executor } from '../db/executor.ts';
import { WaybillError } from '../errors.ts';

export type Needle = {
  /** In lower case: as given, and with its domain as A-labels and in Unicode. */
  readonly addresses: readonly string[];
  /** The addresses, and as a URL has them. */
  readonly forms: readonly string[];
  /** Finds a form as a whole address, in lower case: not within a longer address. */
  readonly inText: string;
  /** Finds a form in a key, where the characters of an address also separate: `welcome-ann@example.com-2`. */
  readonly inKey: string;
};

/** A path of RFC 5321 has 254 characters; SQL may have written longer ones. */
const longest = 320;

/**
 * @param text `ann@example.com` or `Ann <ann@example.com>`; case does not matter
 * @throws WaybillError `invalid_address`
 */
export function needleOf(text: string): Needle {
  if (text.length > 1_000) invalid();
  const address = (/<([^<>]*)>\s*$/.exec(text)?.[1] ?? text).trim().toLowerCase();
  if (address.length > longest || !/^[^\s\p{Cc}<>"(),;:\\]+@[^\s\p{Cc}<>"(),;:@\\]+$/u.test(address))
    invalid();
  const at = address.lastIndexOf('@');
  const [local, domain] = [address.slice(0, at), address.slice(at + 1)];
  const domains = [domain, domainToASCII(domain), domainToUnicode(domain)].filter((one) => one !== '');
  const addresses = [...new Set(domains.map((one) => `${local}@${one}`))];
  const forms = [...new Set(addresses.flatMap((one) => [one, encodeURIComponent(one).toLowerCase()]))];
  const any = `(?:${forms.map(literal).join('|')})`;
  return {
    addresses,
    forms,
    inText: `${before}${any}${behind}`,
    inKey: `(?<![a-z0-9])${any}(?![a-z0-9]|\\.[a-z])`,
  };
}

function invalid(): never {
  throw new WaybillError(
    'invalid_address',
    'the recipient must be one e-mail address of the form name@domain.tld',
  );
}

/** Not behind a character of an address; but behind an escape of JSON or of a URL, whose last character may look like one. */
const before = String.raw`(?:(?<![\w.+-])|(?<=\\[bfnrt])|(?<=\\u[0-9a-f]{4})|(?<=%(?:3[0-9a-f]|2[0-9acf]|0[0-9a-f])))`;
const behind = String.raw`(?![\w-]|\.\w)`;

/** As a part of a regular expression of Postgres. */
function literal(text: string): string {
  return text.replaceAll(/[^a-z0-9\u0080-\u{10ffff}]/gu, String.raw`\$&`);
}

/** The hash that stands for the address afterwards, and in the audit. */
export async function hashOf(db: Executor, { addresses }: Needle): Promise<string> {
  const sql = 'select waybill.erased_address($1) as hash';
  return (await db.executeSql<{ hash: string }>(sql, [addresses[0]])).rows[0]!.hash;
}

/** The conditions of one statement, with the parameters that they need. */
export type Finding = {
  readonly values: unknown[];
  /** Whether the text, an SQL expression, has the address. A look for the plain forms comes first, because it is fast. */
  readonly inText: (text: string) => string;
  readonly inKey: (text: string) => string;
  /** The text with the hash instead of the address. */
  readonly replaced: (text: string) => string;
  /** `text[]` of the addresses. */
  readonly addresses: () => string;
};

/** @param values where its parameters are added, each when it is first needed: Postgres refuses superfluous ones */
export function findingOf(needle: Needle, values: unknown[] = []): Finding {
  const lazy = (value: unknown, type: string): (() => string) => {
    let name: string | undefined;
    return () => (name ??= `$${values.push(value)}::${type}`);
  };
  const forms = needle.forms.map((form) => lazy(form, 'text'));
  const [inText, inKey] = [lazy(needle.inText, 'text'), lazy(needle.inKey, 'text')];
  const addresses = lazy(needle.addresses, 'text[]');
  const has = (text: string, pattern: string): string => `(
    select (${forms.map((form) => `position(${form()} in l.t) > 0`).join(' or ')}) and l.t ~ ${pattern}
      from (select lower((${text}) collate "C") as t offset 0) l)`;
  return {
    values,
    inText: (text) => has(text, inText()),
    inKey: (text) => has(text, inKey()),
    replaced: (text) =>
      `regexp_replace(${text}, ${inText()}, waybill.erased_address((${addresses()})[1]), 'gi')`,
    addresses,
  };
}
