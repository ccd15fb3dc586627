// Reads Resend's answers (resend.com/docs/api-reference/errors) and turns failures into the facts of an email error.
// A proxy may answer instead of Resend, or no answer may come.

import { z } from 'zod';
import type { Milliseconds } from '../../ports.ts';
import { isCertificateCode } from '../smtp-rules.ts';
import type { EmailError, EmailFacts } from '../error.ts';

export type Answer = { readonly status: number; readonly headers: Headers; readonly text: string };

/** The facts of an email error and its message, which is not redacted yet. */
export type Told = Omit<EmailFacts, 'provider'> & { readonly message: string };

export type Failed = (told: Told) => EmailError;

export type Asked = {
  readonly method: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
};

/** Sends one request. Throws an EmailError when no answer comes. */
export type Ask = (path: string, signal: AbortSignal, asked: Asked) => Promise<Answer>;

/** The most bytes of an answer that are read; Resend's have a few hundred. */
const answerLimit = 65_536;

export const taken = z.object({ id: z.string().regex(/^[\x21-\x7e]{1,200}$/) });
const refused = z.object({
  name: z
    .string()
    .regex(/^[a-z_]{1,64}$/)
    .optional()
    .catch(undefined),
  message: z.string().optional().catch(undefined),
});

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

/** Resend's id of the accepted email; undefined for any other answer. */
export function takenId(answer: Answer): string | undefined {
  return taken.safeParse(jsonOf(answer)).data?.id;
}

export function refusalName(answer: Answer): string | undefined {
  return refused.safeParse(jsonOf(answer)).data?.name;
}

export function refusalOf(answer: Answer): Told {
  const { status, headers } = answer;
  const { name, message } = refused.safeParse(jsonOf(answer)).data ?? {};
  const said = [name, message].filter((part) => part !== undefined).join(': ');
  return {
    message: `HTTP ${status} ${said || 'without a reason that can be read'}`,
    phase: 'answered',
    status,
    code: name,
    retryAfter: retryAfterOf(headers),
  };
}

export function unreadable({ status }: Answer): Told {
  const message = `HTTP ${status} with something else than Resend's answer`;
  return { message, phase: 'answered', status, code: 'EANSWER' };
}

/** @returns undefined for text that is no JSON */
export function jsonOf({ text }: Answer): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // a proxy's HTML, or an empty body: the caller reports it
  }
}

/** Retry-After in seconds or as a date (RFC 9110, section 10.2.3). A date is compared with the provider's own clock. */
function retryAfterOf(headers: Headers): Milliseconds | undefined {
  const value = headers.get('retry-after')?.trim() ?? '';
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1_000;
  if (!/^[A-Z][a-z]{2,8},? /.test(value)) return undefined; // Date.parse accepts much more than HTTP dates
  const wait = Date.parse(value) - Date.parse(headers.get('date') ?? '');
  return Number.isNaN(wait) ? undefined : Math.max(0, wait);
}

/** fetch reports only `fetch failed`. The reason is its cause, or the first of several, one for each address of the host. */
export function lossOf(error: unknown): Told {
  const { name, cause } = error as Error;
  if (name === 'TimeoutError') return { phase: 'sent', code: 'ETIMEDOUT', message: 'no answer in time' };
  if (cause === undefined) return { phase: 'sent', code: 'EABORT', message: 'ended before the answer' };
  const first: unknown = cause instanceof AggregateError ? cause.errors[0] : cause;
  const { code, syscall, message } = first as NodeJS.ErrnoException;
  const unconnected =
    ['connect', 'getaddrinfo'].includes(syscall ?? '') ||
    code === 'UND_ERR_CONNECT_TIMEOUT' ||
    isCertificateCode(code);
  return { phase: unconnected ? 'connect' : 'sent', code, message: `${code ?? 'lost'}: ${message}` };
}
