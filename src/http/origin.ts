// Where a request comes from: a page of another site must not make a visitor's browser act here, and a name that leads here by somebody
// else's DNS (rebinding) must not read pages that ask for no key.

import { isIP } from 'node:net';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { WaybillError } from '../errors.ts';

/** What anybody may read, and what is believed for its signature. */
const open = /^\/(?:livez|readyz|healthz|metrics|openapi\.json|webhooks\/.*)$/;

/** Whoever sends a key of his own in the header is no form and no script of another site: a browser adds none for those. */
export function refuseOtherSites(server: FastifyInstance, hosts: readonly string[]): void {
  server.addHook('onRequest', async (request) => {
    const path = request.url.split('?')[0] ?? '/';
    if (request.headers.authorization !== undefined || open.test(path)) return;
    if (isFromHere(request, hosts) || isVisit(request)) return;
    throw new WaybillError(
      'cross_site',
      'a page of another site may not call this: send an Authorization header, or serve the page from here',
    );
  });
}

/** Browsers say it themselves (Fetch Metadata); older ones name the page's origin alone. What says neither is no browser. */
export function isFromHere({ headers }: FastifyRequest, hosts: readonly string[] = []): boolean {
  const { host, origin, 'sec-fetch-site': site } = headers;
  if (site !== undefined) return site === 'same-origin' || site === 'none';
  if (origin === undefined) return true;
  const from = URL.canParse(origin) ? new URL(origin).host : null;
  const here = host?.toLowerCase().replace(/:(?:80|443)$/, ''); // an origin does not name the usual port
  const known = [here, ...hosts];
  return from !== null && (known.includes(from) || hosts.includes(from.replace(/:\d+$/, '')));
}

/** Somebody followed a link to a page: nothing is done, and the page that has the link reads nothing. */
function isVisit({ method, url, headers }: FastifyRequest): boolean {
  return (
    method === 'GET' &&
    /^\/(?:inbox|console)(?:[/?]|$)/.test(url) &&
    headers['sec-fetch-mode'] === 'navigate' &&
    headers['sec-fetch-dest'] === 'document'
  );
}

/**
 * For pages that ask for no key. An address is no name that somebody else's DNS could lead here.
 * @param known names of WAYBILL_HOSTS and HOST
 * @throws WaybillError `unknown_host`
 */
export function checkHost({ headers: { host = '' } }: FastifyRequest, known: readonly string[]): void {
  const name = host.toLowerCase().replace(/:\d{1,5}$/, '');
  const isLocal = name === 'localhost' || name.endsWith('.localhost');
  if (
    isLocal ||
    isIP(name.replace(/^\[|\]$/g, '')) !== 0 ||
    known.includes(name) ||
    known.includes(host.toLowerCase())
  )
    return;
  throw new WaybillError(
    'unknown_host',
    'this page is not shown under this name: add the name to WAYBILL_HOSTS, or use localhost',
  );
}
