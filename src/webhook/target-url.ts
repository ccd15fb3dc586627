// The URL of an endpoint: what may be called at all. It is checked before a name is looked up; the addresses are checked when the socket connects
// (lookup.ts).

import { names, type AllowList } from './allow-list.ts';
import { readAddress, whyNotPublic } from './public-address.ts';

export type Target = {
  readonly url: URL;
  /** The host without brackets and without the dot at its end. */
  readonly host: string;
};

/** Why a URL must not be called. */
export type RefusedUrl = {
  /** For the application: without the path and the parameters, which may hold a token. */
  readonly problem: string;
  /** For the owner of the endpoint, if less: nothing of the network and its settings. */
  readonly told?: string;
};

/** What the owner of an endpoint is told, who shall not learn the addresses of a network. */
export const notPublic = 'the host has no public address';

export type TargetRules = {
  readonly allow: AllowList;
  /** Plain http is no reason to refuse. */
  readonly allowHttp: boolean;
};

const longest = 2_048;

/**
 * Reads the URL of an endpoint, and refuses one that a worker must not call. new URL() writes each form of an address out (`0x7f.1`, `2130706433`,
 * fullwidth digits), so the form does not matter here.
 */
export function readTarget(given: unknown, { allow, allowHttp }: TargetRules): Target | RefusedUrl {
  if (typeof given !== 'string' || given.length > longest || !URL.canParse(given))
    return { problem: `the url must be an absolute URL of at most ${longest} characters` };
  const url = new URL(given);
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    return { problem: `the url must begin with https://, not ${url.protocol.slice(0, 20)}` };
  if (url.username + url.password !== '')
    return { problem: 'the url must not have a user or a password: the signature says who sends' };
  const host = hostOf(url);
  if (host === '') return { problem: 'the url has no host' };
  if (names(allow, host)) return { url, host }; // plain http, any port and any address
  const problem = schemeProblem(url, allowHttp) ?? portProblem(url);
  return problem === undefined ? (hostProblem(host) ?? { url, host }) : { problem };
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

function hostProblem(host: string): RefusedUrl | undefined {
  const address = readAddress(host);
  const isLocal = host === 'localhost' || host.endsWith('.localhost');
  const why = isLocal ? 'loopback' : address && whyNotPublic(address);
  if (why !== undefined) return { problem: refusal(host, why), told: notPublic };
  if (address !== undefined || host.includes('.')) return undefined;
  return { problem: `the host ${host} is no full name on the internet` };
}

export const refusal = (address: string, why: string): string =>
  `${address} is not a public address (${why}); WAYBILL_WEBHOOK_ALLOW names receivers inside your network`;
