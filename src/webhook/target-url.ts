// The URL of an endpoint: what may be called at all. It is checked before a name is looked up; the addresses are checked when the socket connects
// (lookup.ts).

import { names, type AllowList } from './allow-list.ts';
import { readAddress, whyNotPublic } from './public-address.ts';

export type Target = {
  readonly url: URL;
  /** The host without brackets and without the dot at its end. */
  readonly host: string;
  /** The list names it: plain http, any port and any address. */
  readonly isNamed: boolean;
};

export type TargetRules = {
  readonly allow: AllowList;
  /** Plain http is no reason to refuse. */
  readonly allowHttp: boolean;
};

const longest = 2_048;

/**
 * Reads the URL of an endpoint, and refuses one that a worker must not call. new URL() writes each form of an address out (`0x7f.1`, `2130706433`,
 * fullwidth digits), so the form does not matter here.
 * @returns the problem as a text, without the path and the parameters: they may hold a token
 */
export function readTarget(
  given: unknown,
  { allow, allowHttp }: TargetRules,
): Target | { readonly problem: string } {
  if (typeof given !== 'string' || given.length > longest || !URL.canParse(given))
    return { problem: `the url must be an absolute URL of at most ${longest} characters` };
  const url = new URL(given);
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    return { problem: `the url must begin with https://, not ${url.protocol.slice(0, 20)}` };
  if (url.username + url.password !== '')
    return { problem: 'the url must not have a user or a password: the signature says who sends' };
  const host = hostOf(url);
  if (host === '') return { problem: 'the url has no host' };
  const isNamed = names(allow, host);
  const problem = isNamed
    ? undefined
    : (schemeProblem(url, allowHttp) ?? portProblem(url) ?? hostProblem(host));
  return problem === undefined ? { url, host, isNamed } : { problem };
}

function hostOf({ hostname }: URL): string {
  const bare = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
  return bare.endsWith('.') ? bare.slice(0, -1) : bare;
}

function schemeProblem({ protocol }: URL, allowHttp: boolean): string | undefined {
  if (protocol === 'https:' || allowHttp) return undefined;
  return 'the url must begin with https://; a definition with allowHttp: true takes http:// too';
}

/** Below 1024 there are other protocols' servers, which would take the request for their own (SMTP, FTP). */
function portProblem({ port }: URL): string | undefined {
  if (port === '' || port === '80' || port === '443' || Number(port) >= 1_024) return undefined;
  return `the port ${port} must be 80, 443 or at least 1024`;
}

function hostProblem(host: string): string | undefined {
  const address = readAddress(host);
  if (address === undefined) {
    if (host === 'localhost' || host.endsWith('.localhost')) return refusal(host, 'loopback');
    return host.includes('.') ? undefined : `the host ${host} is no full name on the internet`;
  }
  const why = whyNotPublic(address);
  return why === undefined ? undefined : refusal(host, why);
}

export const refusal = (address: string, why: string): string =>
  `${address} is not a public address (${why}); WAYBILL_WEBHOOK_ALLOW names receivers inside your network`;
