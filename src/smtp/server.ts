// The mail server that SMTP_URL names. The URL is read part by part instead of by the platform's parser. That parser reads
// `smtp://apikey:25#secret@host` as a host named apikey, and does not say what is wrong with a bad URL. A message names the wrong part and repeats no
// value, because in a broken URL a secret may be anywhere.

import { readFileSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';
import { nearest } from '../nearest.ts';

export const tlsModes = ['required', 'opportunistic', 'off'] as const;

export type SmtpServer = {
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte. */
  readonly secure: boolean;
  /** The use of STARTTLS otherwise: nothing is sent without it, it is used where offered, or never. */
  readonly tls: (typeof tlsModes)[number];
  /** Whether the URL sets `tls`. */
  readonly tlsChosen: boolean;
  readonly login: { readonly user: string; readonly pass: string } | null;
  /** Certificates to trust instead of the public ones, as PEM. */
  readonly authority: string | null;
};

/** Its message follows the variable's name. */
export class SmtpUrlError extends Error {
  override readonly name = 'SmtpUrlError';
}

const example = 'smtp://user:password@host:587';

function wrong(why: string): never {
  throw new SmtpUrlError(why);
}

/** @throws SmtpUrlError */
export function readSmtpUrl(text: string): SmtpServer {
  const [, scheme = '', rest = ''] = /^(smtps?):\/\/(.*)$/is.exec(text) ?? [];
  if (scheme === '') wrong(`must be a URL like ${example}: it begins with smtp:// or smtps://`);
  // eslint-disable-next-line no-control-regex -- that is what is looked for
  if (/[\s\x00-\x1f\x7f]/.test(rest)) wrong('holds a space or a control character: write a space as %20');
  const secure = scheme.toLowerCase() === 'smtps';
  const [authority, path, query] = split(rest);
  const at = authority.lastIndexOf('@');
  const login = at < 0 ? null : loginOf(authority.slice(0, at));
  const { host, port } = placeOf(authority.slice(at + 1), secure);
  if (path !== '' && path !== '/') wrong('must not have a path after the host');
  const { tls, ca } = parametersOf(query);
  const trusted = ca === null ? null : readAuthority(ca);
  const server = { host, port, secure, login, tlsChosen: tls !== null, authority: trusted };
  return { ...server, tls: modeOf(tls, server) };
}

/** Splits into authority, path and query. A character that ends the authority too early was not escaped in the password. */
function split(rest: string): [string, string, string] {
  const end = rest.search(/[/?#\\]/);
  if (end < 0) return [rest, '', ''];
  const tail = rest.slice(end);
  const [path = '', ...query] = tail.split('?');
  const isOurs = query.length === 1 && /^(?:(?:tls|ca)=[^&#]*&?)+$/.test(query[0]!);
  if (tail.includes('@') && !isOurs) {
    const sign = tail[0]!;
    wrong(`has a ${sign} in user or password: there it must be written ${encodeURIComponent(sign)}`);
  }
  if (tail.includes('#'))
    wrong('must not have a fragment (what follows the #); in a password # is written %23');
  return [rest.slice(0, end), path, query.join('?')];
}

function loginOf(text: string): NonNullable<SmtpServer['login']> {
  const colon = text.indexOf(':');
  const user = decoded(colon < 0 ? text : text.slice(0, colon));
  const pass = decoded(colon < 0 ? '' : text.slice(colon + 1));
  if (user === '') wrong('has a @ and no user before it');
  if (pass === '') wrong('has a user but no password');
  return { user, pass };
}

function decoded(part: string): string {
  if (/%(?![0-9A-Fa-f]{2})/.test(part)) wrong('has a % in user or password that must be written %25');
  try {
    const text = decodeURIComponent(part);
    // eslint-disable-next-line no-control-regex -- that is what is looked for
    if (/[\x00-\x1f\x7f]/.test(text)) wrong('has a control character in user or password');
    return text;
  } catch (error) {
    if (error instanceof SmtpUrlError) throw error;
    return wrong('has bytes in user or password that are no UTF-8');
  }
}

function placeOf(text: string, secure: boolean): { host: string; port: number } {
  const [, inBrackets, named = '', number] = /^(?:\[([^\]]*)\]|([^:]*))(?::(.*))?$/s.exec(text) ?? [];
  const host = inBrackets ?? domainToASCII(named);
  if (text === '' || (inBrackets === undefined && named === ''))
    wrong(`names no host; it must be like ${example}`);
  if (!isHost(host, inBrackets !== undefined))
    wrong(`names a host that cannot be one; it must be like ${example}`);
  const port = number === undefined ? (secure ? 465 : 587) : /^\d{1,5}$/.test(number) ? Number(number) : -1;
  if (port === 0) wrong('names port 0');
  if (port < 1 || port > 65_535) wrong('names a port that is no number from 1 to 65535');
  if (secure && [25, 587, 2525].includes(port))
    wrong(`has smtps:// with port ${port}, which begins in plain text: write smtp://, or port 465`);
  if (!secure && port === 465) wrong('has smtp:// with port 465, where TLS begins at once: write smtps://');
  return { host, port };
}

function isHost(host: string, inBrackets: boolean): boolean {
  if (inBrackets) return isIPv6(host);
  if (/^[\d.]+$/.test(host)) return isIPv4(host);
  return (
    host.length <= 253 &&
    host.split('.').every((label) => /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/.test(label))
  );
}

function parametersOf(query: string): { tls: SmtpServer['tls'] | null; ca: string | null } {
  const found = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (name !== 'tls' && name !== 'ca') {
      const meant = nearest(name, ['tls', 'ca']);
      const hint = meant ? `; was ${meant} meant?` : '';
      wrong(`has parameters other than tls and ca (what follows the ?)${hint}`);
    }
    if (found.has(name)) wrong(`has the parameter ${name} twice`);
    found.set(name, value);
  }
  const tls = found.get('tls');
  const mode = tlsModes.find((one) => one === tls);
  if (tls !== undefined && mode === undefined)
    wrong(`has a parameter tls that is none of ${tlsModes.join(', ')}`);
  const ca = found.get('ca');
  if (ca === '') wrong('has a parameter ca without a file');
  return { tls: mode ?? null, ca: ca ?? null };
}

/** A password is never sent over a network in clear. Without a password, STARTTLS is used if it is offered. */
function modeOf(
  chosen: SmtpServer['tls'] | null,
  { host, secure, login, authority }: Omit<SmtpServer, 'tls'>,
): SmtpServer['tls'] {
  const isOpen = login !== null && !isLoopback(host);
  if (secure && chosen !== null && chosen !== 'required')
    wrong(`has smtps:// and tls=${chosen}: smtps:// is TLS from the beginning`);
  if (chosen === 'off' && authority !== null) wrong('has tls=off and a ca, which nobody would look at');
  if (isOpen && !secure && chosen !== null && chosen !== 'required')
    wrong(`has tls=${chosen} and a password, which could go over the network in clear: leave tls out`);
  return chosen ?? (secure || isOpen ? 'required' : 'opportunistic');
}

function readAuthority(file: string): string {
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    wrong(`names a file in ca that cannot be read (${code})`);
  }
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    if (blocks.length > 0 && blocks.every((block) => new X509Certificate(block))) return text;
  } catch {
    // reported below
  }
  return wrong('names a file in ca that holds no certificate: it must be PEM, -----BEGIN CERTIFICATE-----');
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}
