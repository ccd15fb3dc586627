// Checks where a request comes from. A page of another site must not make a visitor's browser act here,
// and a foreign DNS name that resolves to this server (rebinding) must not read pages that need no key.

import { isIP } from 'node:net';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { WaybillError } from '../errors.ts';

/** Paths that everybody may read, and webhooks, which are authenticated by their signature. */
const open = /^\/(?:livez|readyz|healthz|metrics|openapi\.json|webhooks\/.*)$/;

/** Allows requests with an Authorization header: browsers do not add one to forms or scripts of another site. */
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

/** Browsers send Fetch Metadata; older ones send only the page's origin. A client that sends neither is no browser. */
export function isFromHere({ headers }: FastifyRequest, hosts: readonly string[] = []): boolean {
  const { host, origin, 'sec-fetch-site': site } = headers;
  if (site !== undefined) return site === 'same-origin' || site === 'none';
  if (origin === undefined) return true;
  const from = URL.canParse(origin) ? new URL(origin).host : null;
  const here = host?.toLowerCase().replace(/:(?:80|443)$/, ''); // an origin omits the default port
  const known = [here, ...hosts];
  return from !== null && (known.includes(from) || hosts.includes(from.replace(/:\d+$/, '')));
}

/** Whether a user followed a link to a page. It changes nothing, and the linking page cannot read the answer. */
function isVisit({ method, url, headers }: FastifyRequest): boolean {
  return (
    method === 'GET' &&
    /^\/(?:inbox|console)(?:[/?]|$)/.test(url) &&
    headers['sec-fetch-mode'] === 'navigate' &&
    headers['sec-fetch-dest'] === 'document'
  );
}

/**
 * Protects pages that need no key. An IP address is accepted, because DNS rebinding needs a name.
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
