// Requests to a provider's HTTP API. A request is not retried, not redirected, and ends before the lease expires.

import type { Milliseconds } from '../../ports.ts';
import { cleanError } from '../../redaction/redact.ts';
import { EmailError } from '../error.ts';
import { lossOf, notBegun, readAnswer, type Answer, type Failed } from './answer.ts';
import { createProgressWatch, type Progress } from './progress.ts';

export type Asked = {
  readonly method: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | FormData;
};

/** Sends one request. Throws an EmailError when no answer comes. */
export type Ask = (path: string, signal: AbortSignal, asked: Asked) => Promise<Answer>;

export type ApiOptions = {
  /** Name of the provider, such as `resend`. */
  readonly provider: string;
  /** Without a slash at its end. */
  readonly baseUrl: string;
  readonly leaseMs: Milliseconds;
  /** Keys, which no error may show. */
  readonly secrets: readonly string[];
  /** The fields of the head that authenticate a request. */
  authorize(url: string, asked: Asked): Readonly<Record<string, string>> | Promise<Record<string, string>>;
};

export type Api = {
  readonly ask: Ask;
  /** Makes the error to throw. */
  readonly failed: Failed;
  /** Ends running requests. */
  close(): Promise<void>;
};

export function createApi(options: ApiOptions): Api {
  const { provider, baseUrl, leaseMs, secrets } = options;
  const ending = new AbortController();
  const watch = createProgressWatch();
  const timeoutMs = Math.floor((leaseMs * 3) / 4);

  /** Errors are stored and logged, so keys and whole addresses are removed from their messages. */
  const failed: Failed = ({ message, ...facts }) => {
    const shown = secrets.reduce((text, secret) => text.replaceAll(secret, '***'), message);
    return new EmailError(cleanError(shown, 500), { provider, ...facts });
  };

  return {
    failed,
    async ask(path, signal, asked) {
      const url = baseUrl + path;
      const proof = await options.authorize(url, asked);
      const progress: Progress = { begun: false, written: false };
      const ends = [signal, ending.signal];
      if (ends.some(({ aborted }) => aborted)) throw failed(notBegun);
      try {
        return await watch.follow(progress, async () => {
          const response = await fetch(url, {
            ...asked,
            headers: { accept: 'application/json', 'user-agent': 'waybill', ...asked.headers, ...proof },
            redirect: 'manual', // the key must not go to another address
            signal: AbortSignal.any([...ends, AbortSignal.timeout(timeoutMs)]),
          });
          return readAnswer(response);
        });
      } catch (error) {
        throw failed(lossOf(error, progress)); // no cause: the error may hold parts of the request or the answer
      }
    },
    async close() {
      ending.abort();
      watch.close();
    },
  };
}
