// What comes back from Resend: its answers (resend.com/docs/api-reference/errors), what proxies put in their place, or nothing; each as the
// facts of an email error.

import { z } from 'zod';
import type { Milliseconds } from '../../ports.ts';
import { isCertificateCode } from '../smtp-rules.ts';
import type { EmailError, EmailFacts } from '../error.ts';

export type Answer = { readonly status: number; readonly headers: Headers; readonly text: string };

/** The facts of an email error and its text, which may hold anything yet. */
export type Told = Omit<EmailFacts, 'provider'> & { readonly message: string };

export type Failed = (told: Told) => EmailError;

export type Asked = {
  readonly method: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
};

/** One request, one answer. Throws an EmailError when none came. */
export type Ask = (path: string, signal: AbortSignal, asked: Asked) => Promise<Answer>;

/** Bytes of an answer that are read; Resend's have a few hundred. */
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

/** Of one that is longer than it may be, enough to be no JSON. A refusal is one without its words too. */
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

/** Resend's name for the email that it took; undefined when the answer is something else. */
export function takenId(answer: Answer): string | undefined {
  return taken.safeParse(jsonOf(answer)).data?.id;
}

/** Resend's name for the error. */
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

/** Undefined: it is no JSON. */
export function jsonOf({ text }: Answer): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // HTML of a proxy, or nothing: the caller says so
  }
}

/** RFC 9110, section 10.2.3: seconds, or a date, which is measured by the provider's own clock. */
function retryAfterOf(headers: Headers): Milliseconds | undefined {
  const value = headers.get('retry-after')?.trim() ?? '';
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1_000;
  if (!/^[A-Z][a-z]{2,8},? /.test(value)) return undefined; // Date.parse takes far more than dates of HTTP
  const wait = Date.parse(value) - Date.parse(headers.get('date') ?? '');
  return Number.isNaN(wait) ? undefined : Math.max(0, wait);
}

/** fetch says `fetch failed`; what happened is the error's cause, or the first of several, one for each address of the host. */
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
