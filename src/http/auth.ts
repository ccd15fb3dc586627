// Identifies callers by the API key or the application's `authenticate`, and checks the keys of /inbox and /metrics.

import type { FastifyRequest } from 'fastify';
import type { AdminKey } from '../config/admin-keys.ts';
import type { App } from '../define/app.ts';
import type { Invoker } from '../define/context.ts';
import { WaybillError } from '../errors.ts';
import { isBearer } from '../process/health.ts';

export type Identify = (request: FastifyRequest) => Promise<Invoker>;

export function createIdentify(apiKey: string | null, app: App): Identify {
  return async (request) => {
    if (apiKey !== null && isBearer(request.headers.authorization, apiKey)) return { type: 'user' };
    const { method, headers } = request;
    const path = request.url.split('?')[0] ?? '/';
    return invokerOf(await app.authenticate?.({ method, path, headers }));
  };
}

/** Refuses an invoker of unknown type. @throws WaybillError `invoker_invalid` */
function invokerOf(given: Invoker | null | undefined): Invoker {
  if (given === null || given === undefined) return { type: 'anonymous' };
  const { type } = given as { readonly type?: unknown };
  if (type === 'user' || type === 'anonymous' || type === 'system') return given;
  throw new WaybillError(
    'invoker_invalid',
    "authenticate must give null for nobody, or an invoker such as { type: 'user', id: … }",
  );
}

/**
 * Accepts an admin key as a bearer token, or as the password of any user, which a browser can prompt for.
 * @throws WaybillError `inbox_closed`, `unauthorized`
 */
export function checkInboxKey(request: FastifyRequest, adminKeys: readonly AdminKey[]): void {
  if (adminKeys.length === 0)
    throw new WaybillError(
      'inbox_closed',
      'the inbox is closed in production: set WAYBILL_ADMIN_KEY to open it',
    );
  const given = [request.headers.authorization, `Bearer ${passwordOf(request)}`];
  if (!adminKeys.some(({ key }) => given.some((one) => isBearer(one, key))))
    throw new WaybillError(
      'unauthorized',
      'the key of WAYBILL_ADMIN_KEY is needed, as a bearer or as a password',
    );
}

/** The password of Basic authentication (RFC 7617, section 2). */
function passwordOf({ headers: { authorization = '' } }: FastifyRequest): string {
  const [, pair = ''] = /^basic +([A-Za-z0-9+/=]+)$/i.exec(authorization) ?? [];
  return Buffer.from(pair, 'base64')
    .toString()
    .replace(/^[^:]*:?/, '');
}

/** @throws WaybillError `unauthorized` */
export function checkMetricsKey(request: FastifyRequest, metricsKey: string | null): void {
  if (metricsKey !== null && !isBearer(request.headers.authorization, metricsKey))
    throw new WaybillError(
      'unauthorized',
      'Authorization: Bearer, with the key of WAYBILL_METRICS_KEY, is needed',
    );
}

/** The operator as named by the caller; the key does not identify a person. At most 100 characters, without control characters. */
export function operatorOf({ headers }: FastifyRequest): string | undefined {
  const given = headers['x-waybill-operator'];
  if (typeof given !== 'string') return undefined;
  const name = given.replaceAll(/\p{C}/gu, '').trim().slice(0, 100);
  return name === '' ? undefined : name;
}
