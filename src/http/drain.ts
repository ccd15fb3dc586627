// The drain over HTTP, for platforms that call a URL on a schedule. Each call drains one bounded batch.
// Any framework can serve this fetch-style handler; the web process does at /cron/outbox/drain.

import { randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { checkOptions } from '../define/shape.ts';
import { drainOptionNames, type DrainOptions } from '../drain/options.ts';
import { drainOutbox } from '../drain/drain.ts';
import type { DrainReport } from '../drain/report.ts';
import { isWaybillError, WaybillError } from '../errors.ts';
import { isTraceparent } from '../message/message.ts';
import type { Milliseconds } from '../ports.ts';
import { deadline } from '../timer.ts';
import { isBearer } from '../process/health.ts';
import { traceIdOf } from '../trace/trace.ts';
import { problemBody, problemOf } from './problems.ts';

/** What `createOutboxDrainRoute` takes: the options of a drain, and those of the route. */
export type DrainRouteOptions = Omit<DrainOptions, 'signal' | 'requestId' | 'traceId'> & {
  /** The key that callers send as `Authorization: Bearer …`. Null or empty: the route is closed and answers 503. */
  readonly secret: string | null | undefined;
  /** The largest `?batchSize=` of a call. 1 … 10,000, default 1,000. `batchSize` is the size without that parameter. */
  readonly maxBatchSize?: number | undefined;
  /** After this time nothing more is claimed and running messages are released. Default 25,000 ms, below the usual limit of a platform. */
  readonly timeLimitMs?: Milliseconds | undefined;
  /** Called with errors whose details the caller does not get: a database error, a bug. Default: they are not reported. */
  onError?(error: unknown): void | Promise<void>;
};

/** A handler of web standards, as Next.js, Hono, Bun and Deno serve it. */
export type FetchHandler = (request: Request) => Promise<Response>;

/** The handler, also as `GET` and `POST`: `export const { GET, POST } = createOutboxDrainRoute({ … })` in Next.js. */
export type DrainRoute = FetchHandler & { readonly GET: FetchHandler; readonly POST: FetchHandler };

/**
 * Creates a route that drains one bounded batch for each call, for platforms that call a URL on a schedule.
 * @param drain what drains; default `drainOutbox`
 * @throws WaybillError `definition_invalid` when an option is unknown, `drain_options_invalid`
 */
export function createOutboxDrainRoute(
  options: DrainRouteOptions,
  drain: (options: DrainOptions) => Promise<DrainReport> = drainOutbox,
): DrainRoute {
  const own = ['secret', 'maxBatchSize', 'timeLimitMs', 'onError'];
  checkOptions('createOutboxDrainRoute', options, [...own, ...drainOptionNames]);
  if (!(
    options.timeLimitMs === undefined ||
    (options.timeLimitMs >= 1 && options.timeLimitMs <= longestLimit)
  ))
    throw new WaybillError(
      'drain_options_invalid',
      'createOutboxDrainRoute: timeLimitMs must be milliseconds from 1 to a day',
    );
  const { secret, maxBatchSize = 1_000, timeLimitMs = 25_000, onError, ...drainOptions } = options;
  const handler: FetchHandler = async (request) => {
    const requestId = request.headers.get('x-request-id') ?? randomUUID();
    const limit = deadline(timeLimitMs);
    const traceId = traceIdOf(traceparentIn(request)) ?? undefined;
    try {
      checkRequest(request, secret);
      const batchSize = batchSizeOf(
        request,
        drainOptions.batchSize ?? Math.min(100, maxBatchSize),
        maxBatchSize,
      );
      const signal = AbortSignal.any([request.signal, limit.signal]);
      return Response.json(await drain({ ...drainOptions, batchSize, signal, requestId, traceId }), {
        headers: noStore,
      });
    } catch (error) {
      if (!isWaybillError(error)) await (async () => onError?.(error))().catch(() => undefined); // onError must not change the answer
      const problem = problemOf(error);
      const type = { 'content-type': 'application/problem+json; charset=utf-8', 'x-request-id': requestId };
      const headers = { ...noStore, ...problem.headers, ...type };
      return new Response(problemBody(problem, requestId), { status: problem.status, headers });
    } finally {
      limit.stop();
    }
  };
  return Object.assign(handler, { GET: handler, POST: handler });
}

/** A malformed traceparent counts as absent (W3C Trace Context, section 3.2). */
function traceparentIn({ headers }: Request): string | undefined {
  const given = headers.get('traceparent');
  return isTraceparent(given) ? given : undefined;
}

const longestLimit: Milliseconds = 86_400_000;

const noStore = { 'cache-control': 'no-store' };

/** @throws WaybillError `method_not_allowed`, `drain_closed`, `unauthorized` */
function checkRequest({ method, headers }: Request, secret: string | null | undefined): void {
  if (method !== 'GET' && method !== 'POST')
    throw new WaybillError('method_not_allowed', 'this path takes GET, POST');
  if (!secret)
    throw new WaybillError('drain_closed', 'the drain route is closed: set WAYBILL_CRON_SECRET to open it');
  if (!isBearer(headers.get('authorization') ?? undefined, secret))
    throw new WaybillError(
      'unauthorized',
      'Authorization: Bearer, with the key of WAYBILL_CRON_SECRET, is needed',
    );
}

/** @throws WaybillError `invalid_batch_size` */
function batchSizeOf({ url }: Request, standard: number, most: number): number {
  const given = new URL(url).searchParams.getAll('batchSize');
  if (given.length === 0) return standard;
  const size = Number(given[0]);
  if (given.length === 1 && /^[0-9]{1,9}$/.test(given[0]!) && size >= 1 && size <= most) return size;
  throw new WaybillError('invalid_batch_size', `batchSize must be a whole number from 1 to ${most}`);
}

export const drainPath = '/cron/outbox/drain';

export function addDrain(server: FastifyInstance, handler: FetchHandler): void {
  server.route({
    method: ['GET', 'POST'],
    url: drainPath,
    async handler({ method, url, headers, id }, reply) {
      const gone = new AbortController();
      reply.raw.once('close', () => reply.raw.writableFinished || gone.abort());
      const authorization =
        headers.authorization === undefined ? {} : { authorization: headers.authorization };
      const { traceparent } = headers;
      const traced = typeof traceparent === 'string' ? { traceparent } : {};
      const request = new Request(new URL(url, 'http://localhost'), {
        method,
        signal: gone.signal,
        headers: { ...authorization, ...traced, 'x-request-id': id },
      });
      const response = await handler(request);
      return reply
        .code(response.status)
        .headers(Object.fromEntries(response.headers))
        .send(Buffer.from(await response.arrayBuffer()));
    },
  });
}
