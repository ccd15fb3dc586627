// Turns errors into application/problem+json (RFC 9457) with a stable code and a helpful text, without SQL or a stack.

import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError } from 'fastify';
import { diagnose, isConflict, isReadOnly, isSlow, type Condition } from '../db/diagnosis.ts';
import { isFromDatabase } from '../db/executor.ts';
import { isActionError, type ActionError } from '../define/action-error.ts';
import { isWaybillError, WaybillError } from '../errors.ts';

/** In bytes. */
export const bodyLimit = 1_048_576;

export type Problem = {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly errors?: readonly { readonly path: string; readonly message: string }[];
  readonly headers?: Readonly<Record<string, string>>;
};

/** The status of each WaybillError that is not answered with 400. */
const statusOf: Readonly<Record<string, number>> = {
  unauthorized: 401,
  webhook_signature_invalid: 401,
  forbidden: 403,
  too_many_wrong_keys: 429,
  cross_site: 403,
  form_invalid: 403,
  ticket_invalid: 403,
  unknown_host: 403,
  not_found: 404,
  inbox_off: 404,
  unknown_action: 404,
  unknown_cron_job: 404,
  unknown_database: 404,
  unknown_queue: 404,
  unknown_process: 404,
  method_not_allowed: 405,
  state_conflict: 409,
  delivery_key_taken: 409,
  message_erased: 409,
  message_dropped: 409,
  message_sealed: 409,
  cannot_run_now: 409,
  other_queue: 409,
  order_key_not_blocked: 409,
  count_required: 409,
  count_differs: 409,
  idempotency_key_running: 409,
  body_too_large: 413,
  unsupported_media_type: 415,
  unsupported_content_encoding: 415,
  database_not_served: 421,
  idempotency_key_reused: 422,
  caller_gone: 499, // only for the log: the caller has disconnected
  // The application's own mistakes
  action_error_invalid: 500,
  context_closed: 500,
  definition_invalid: 500,
  drain_without_database: 500,
  event_not_declared: 500,
  from_required: 500,
  executor_invalid: 500,
  invalid_duration: 500,
  invoker_invalid: 500,
  options_invalid: 500,
  payload_invalid: 500,
  payload_keys_invalid: 500,
  payload_keys_missing: 500,
  result_invalid: 500,
  transaction_ended: 500,
  transaction_lost: 500,
  transaction_statement: 500,
  sender_misconfigured: 500,
  unknown_event: 500,
  unknown_job: 500,
  work_not_awaited: 500,
  push_not_available: 501,
  action_timeout: 503,
  admin_closed: 503,
  inbox_closed: 503,
  too_many_streams: 503,
  drain_closed: 503,
  webhook_closed: 503,
  webhook_sender_unreachable: 503,
  shutting_down: 503,
  database_unavailable: 503,
  delivery_key_contended: 503,
  database_slow: 503,
};

const again = { 'retry-after': '1' };

const away = {
  code: 'database_unavailable',
  detail: 'the database does not answer; try again in a moment',
};

/** The answers while the database takes no work. The log and /readyz have the details. */
const databaseProblems: Readonly<Partial<Record<Condition, Pick<Problem, 'code' | 'detail'>>>> = {
  unreachable: away,
  starting: away,
  connections_exhausted: {
    code: 'too_many_connections',
    detail: 'no connection to the database is free; try again in a moment',
  },
  resources_exhausted: away,
  login_refused: away,
  database_missing: away,
  certificate_refused: away,
  read_only: {
    code: 'database_read_only',
    detail: 'the database takes no changes at the moment, as after a failover; try again in a moment',
  },
};

/** @param limit bytes that the body of this request may have */
export function problemOf(error: unknown, limit = bodyLimit): Problem {
  if (isActionError(error)) return ofApplication(error);
  if (isWaybillError(error)) return ofOurs(error);
  const condition = conditionOf(error);
  if (condition === 'schema_missing' && (error as Error).message.includes('waybill.'))
    return { status: 503, code: 'schema_missing', detail: 'migrations are missing: run `waybill release`' };
  const trouble = condition && databaseProblems[condition];
  if (trouble) return { status: 503, ...trouble, headers: again };
  if (isSlow(error))
    return {
      status: 503,
      code: 'database_slow',
      detail: 'the database took too long for this call, or waited for a lock; try again',
      headers: again,
    };
  if (isConflict(error))
    return {
      status: 503,
      code: 'database_busy',
      detail: 'the database had to give this call up in favour of others; try again',
      headers: again,
    };
  return (
    ofFramework(error, limit) ?? {
      status: 500,
      code: 'internal_error',
      detail: 'something went wrong here; the request id leads to it in the log',
    }
  );
}

/** A replica of the application's own stays read-only: trying again does not help, and the action must be mended. */
function conditionOf(error: unknown): Condition | undefined {
  if (isReadOnly(error) && !isFromDatabase(error)) return undefined;
  return diagnose(error)?.condition;
}

function ofApplication({ status, code, message: detail }: ActionError): Problem {
  return { status, code, detail, ...(status === 401 && { headers: { 'www-authenticate': 'Bearer' } }) };
}

function ofOurs({ code, message: detail, issues }: WaybillError): Problem {
  const status = statusOf[code] ?? 400;
  return {
    status,
    code,
    detail,
    ...(issues.length > 0 ? { errors: issues } : {}),
    ...(status === 401 ? { headers: { 'www-authenticate': 'Bearer' } } : {}),
    ...(status === 413 || status === 415 ? { headers: { connection: 'close' } } : {}), // the rest of the body is not read
  };
}

function ofFramework(error: unknown, limit: number): Problem | undefined {
  const { code, statusCode } = (error ?? {}) as Partial<FastifyError>; // a thrown value may be anything
  if (typeof code !== 'string') return undefined; // a DOMException's code is a number
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return ofOurs(new WaybillError('body_too_large', `the body may have ${limit} bytes at most`));
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return ofOurs(
        new WaybillError(
          'unsupported_media_type',
          'the field Content-Type is no media type, such as application/json',
        ),
      );
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return {
        status: 400,
        code: 'content_length_wrong',
        detail: 'the body has another length than Content-Length says',
      };
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return { status: 414, code: 'path_too_long', detail: 'a part of the path is too long' };
    case 'FST_ERR_BAD_URL':
      return { status: 400, code: 'invalid_url', detail: 'the path cannot be decoded' };
    default:
      if (!code.startsWith('FST_') || statusCode === undefined || statusCode >= 500) return undefined;
      return { status: statusCode, code: 'bad_request', detail: 'the request cannot be understood' };
  }
}

export function problemBody({ status, code, detail, errors }: Problem, requestId: string): string {
  const body = {
    type: `urn:waybill:problem:${code}`,
    title: STATUS_CODES[status],
    status,
    detail,
    code,
    requestId,
  };
  return JSON.stringify(errors ? { ...body, errors } : body);
}

/** Input that Node's parser refuses never becomes a request, so the answer goes to the socket, and the connection ends. */
export function refuseUnparsed(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const problem = unparsed(error.code);
  const id = randomUUID();
  const body = problemBody(problem, id);
  socket.end(
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\nconnection: close\r\nx-request-id: ${id}\r\nx-content-type-options: nosniff\r\n` +
      `content-type: application/problem+json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function unparsed(code: string | undefined): Problem {
  if (code === 'HPE_HEADER_OVERFLOW')
    return {
      status: 431,
      code: 'headers_too_large',
      detail: 'the headers are larger than this server takes',
    };
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return { status: 408, code: 'request_timeout', detail: 'the request did not arrive in time' };
  return { status: 400, code: 'bad_request', detail: 'this is not a request of HTTP/1.1' };
}
