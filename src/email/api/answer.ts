// Reads the answers of a provider's HTTP API and turns failures into the facts of an email error.
// A proxy may answer instead of the provider, or no answer may come.

import { retryAfterOf } from '../../message/retry-after.ts';
import type { Milliseconds } from '../../ports.ts';
import type { EmailError, EmailFacts } from '../error.ts';
import { foreignAnswer, isCertificateCode } from '../rule.ts';
import type { Progress } from './progress.ts';

export type Answer = { readonly status: number; readonly headers: Headers; readonly text: string };

/** The facts of an email error and its message, which is not redacted yet. */
export type Told = Omit<EmailFacts, 'provider'> & { readonly message: string };

export type Failed = (told: Told) => EmailError;

/** What the body of a refusal says, as far as it can be read. */
export type Said = { readonly code?: string | undefined; readonly message?: string | undefined };

/** The most bytes of an answer that are read; those of the providers have a few hundred. */
const answerLimit = 65_536;

/** A body above the limit is cut, and so no valid JSON. A refusal counts even if its body cannot be read. */
export async function readAnswer({ status, headers, ok, body }: Response): Promise<Answer> {
  const decoder = new TextDecoder();
  let [text, size] = ['', 0];
  try {
    for await (const chunk of body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      size += chunk.byteLength;
      if (size > answerLimit) break;
    }
  } catch (error) {
    if (ok) throw error;
  }
  return { status, headers, text };
}

export const isSuccess = ({ status }: Answer): boolean => status >= 200 && status < 300;

/** @returns undefined for text that is no JSON */
export function jsonOf({ text }: Answer): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // a proxy's HTML, or an empty body: the caller reports it
  }
}

/** @returns undefined for text that is no object of JSON. The answer may be cut at the limit. */
export const isObject = ({ text }: Answer): true | undefined => text.trimStart().startsWith('{') || undefined;

/**
 * Without a code and a reason the answer is not known to be the provider's.
 * @param retryAfter default: from the field Retry-After
 */
export function refusalOf(
  { status, headers }: Answer,
  { code, message }: Said,
  retryAfter: Milliseconds | undefined = retryAfterOf(
    headers.get('retry-after'),
    headers.get('date'),
    Date.now(),
  ),
): Told {
  const said = [code, message].filter((part) => part !== undefined).join(': ');
  return {
    message: `HTTP ${status} ${said || 'without a reason that can be read'}`,
    phase: 'answered',
    status,
    code: said === '' ? foreignAnswer : code,
    retryAfter,
  };
}

export function unreadable({ status }: Answer): Told {
  const message = `HTTP ${status} with something else than the provider's answer`;
  return { message, phase: 'answered', status, code: foreignAnswer };
}

/**
 * How long it is until a moment that the provider named, by the provider's own clock.
 * @param moment milliseconds since 1970; NaN for a text that is no date
 */
export function untilMoment(moment: Milliseconds, headers: Headers): Milliseconds | undefined {
  const wait = moment - Date.parse(headers.get('date') ?? '');
  return Number.isNaN(wait) ? undefined : Math.max(0, wait);
}

export const notBegun: Told = { phase: 'connect', code: 'EABORT', message: 'ended before the request' };

/** fetch reports only `fetch failed`. The reason is its cause, or the first of several, one for each address of the host. */
export function lossOf(error: unknown, { begun, written }: Progress): Told {
  const isUnsent = begun && !written;
  const phase = isUnsent ? 'connect' : 'sent';
  const { name, cause } = error as Error;
  if (name === 'TimeoutError')
    return { phase, code: 'ETIMEDOUT', message: `no ${isUnsent ? 'connection' : 'answer'} in time` };
  if (cause === undefined)
    return { phase, code: 'EABORT', message: `ended before the ${isUnsent ? 'connection' : 'answer'}` };
  const first: unknown = cause instanceof AggregateError ? cause.errors[0] : cause;
  const { code, syscall, message: reason } = first as NodeJS.ErrnoException;
  // fetch ends with an error without a text when it gets HTTP 407.
  const message = reason || 'fetch gives no reason, as after HTTP 407: a proxy on the way wants a login';
  const unconnected =
    isUnsent ||
    ['connect', 'getaddrinfo'].includes(syscall ?? '') ||
    code === 'UND_ERR_CONNECT_TIMEOUT' ||
    isCertificateCode(code);
  return { phase: unconnected ? 'connect' : 'sent', code, message: `${code ?? 'lost'}: ${message}` };
}
