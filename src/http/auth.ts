// Who calls: the API key, the application's own authentication, or nobody known. And the key of /admin.

import type { FastifyRequest } from 'fastify';
import type { App } from '../define/app.ts';
import type { Invoker } from '../define/context.ts';
import { WaybillError } from '../errors.ts';
import { isBearer } from '../process/health.ts';

export type Identify = (request: FastifyRequest) => Promise<Invoker>;

export function createIdentify(apiKey: string | null, app: App): Identify {
  return async (request) => {
    if (apiKey !== null && hasKey(request, apiKey)) return { type: 'user' };
    const { method, headers } = request;
    const path = request.url.split('?')[0] ?? '/';
    return invokerOf(await app.authenticate?.({ method, path, headers }));
  };
}

/** Whoever cannot be told from nobody is not let in. @throws WaybillError `invoker_invalid` */
function invokerOf(given: Invoker | null | undefined): Invoker {
  if (given === null || given === undefined) return { type: 'anonymous' };
  const { type } = given as { readonly type?: unknown };
  if (type === 'user' || type === 'anonymous' || type === 'system') return given;
  throw new WaybillError(
    'invoker_invalid',
    "authenticate must give null for nobody, or an invoker such as { type: 'user', id: … }",
  );
}

/** @throws WaybillError `admin_closed`, `unauthorized` */
export function checkAdminKey(request: FastifyRequest, adminKey: string | null): void {
  if (adminKey === null)
    throw new WaybillError('admin_closed', 'the admin API is closed: set WAYBILL_ADMIN_KEY to open it');
  if (!hasKey(request, adminKey))
    throw new WaybillError(
      'unauthorized',
      'Authorization: Bearer, with the key of WAYBILL_ADMIN_KEY, is needed',
    );
}

/**
 * The admin key, also as the password of any name: that is what a browser can be asked for.
 * @throws WaybillError `inbox_closed`, `unauthorized`
 */
export function checkInboxKey(request: FastifyRequest, adminKey: string | null): void {
  if (adminKey === null)
    throw new WaybillError(
      'inbox_closed',
      'the inbox is closed in production: set WAYBILL_ADMIN_KEY to open it',
    );
  if (!hasKey(request, adminKey) && !isBearer(`Bearer ${passwordOf(request)}`, adminKey))
    throw new WaybillError(
      'unauthorized',
      'the key of WAYBILL_ADMIN_KEY is needed, as a bearer or as a password',
    );
}

/** RFC 7617, section 2. */
function passwordOf({ headers: { authorization = '' } }: FastifyRequest): string {
  const [, pair = ''] = /^basic +([A-Za-z0-9+/=]+)$/i.exec(authorization) ?? [];
  return Buffer.from(pair, 'base64')
    .toString()
    .replace(/^[^:]*:?/, '');
}

/** @throws WaybillError `unauthorized` */
export function checkMetricsKey(request: FastifyRequest, metricsKey: string | null): void {
  if (metricsKey !== null && !hasKey(request, metricsKey))
    throw new WaybillError(
      'unauthorized',
      'Authorization: Bearer, with the key of WAYBILL_METRICS_KEY, is needed',
    );
}

/** In constant time. The scheme's name is in upper or lower case (RFC 9110, section 11.1). */
function hasKey({ headers }: FastifyRequest, key: string): boolean {
  return isBearer(headers.authorization?.replace(/^bearer +/i, 'Bearer '), key);
}

/** Who acts, as the caller says it: the key proves the right, not the person. At most 100 characters, without control characters. */
export function operatorOf({ headers }: FastifyRequest): string | undefined {
  const given = headers['x-waybill-operator'];
  if (typeof given !== 'string') return undefined;
  const name = given.replaceAll(/\p{C}/gu, '').trim().slice(0, 100);
  return name === '' ? undefined : name;
}
