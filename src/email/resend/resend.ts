// The provider `resend` sends through Resend's HTTP API. Every attempt of a message has the same key and bytes.
// Resend keeps keys for 24 hours, so within them a lost answer causes no duplicate.
// The provider does not retry, and it gives up before the lease expires.

import type { Milliseconds } from '../../ports.ts';
import { EmailError } from '../error.ts';
import type { EmailProvider } from '../provider.ts';
import {
  isSuccess,
  lossOf,
  readAnswer,
  refusalName,
  refusalOf,
  takenId,
  unreadable,
  type Ask,
  type Failed,
} from './answer.ts';
import { createResendBatches } from './batch.ts';
import { receiptOf, resendBody } from './body.ts';
import { cleanError } from '../../redaction/redact.ts';

export type ResendOptions = {
  readonly apiKey: string;
  /** Without a slash at its end. */
  readonly baseUrl: string;
  readonly leaseMs: Milliseconds;
};

export function createResendProvider(options: ResendOptions): EmailProvider {
  const ending = new AbortController();
  const failed = failureBeside(options.apiKey);
  const ask = asking(options, ending.signal, failed);
  return {
    name: 'resend',
    idempotent: true,
    batch: createResendBatches(ask, failed),
    async send(email, { signal, ...about }) {
      const body = resendBody(email, about);
      const headers = { 'content-type': 'application/json', 'idempotency-key': about.idempotencyKey };
      const answer = await ask('/emails', signal, { method: 'POST', headers, body: body.json });
      if (!isSuccess(answer)) throw failed(refusalOf(answer));
      const id = takenId(answer);
      if (id === undefined) throw failed(unreadable(answer));
      return receiptOf(body, answer.status, id);
    },
    async verify(signal) {
      const answer = await ask('/domains', signal, { method: 'GET' });
      // A key that may only send cannot read this; the refusal proves that the key is valid.
      if (answer.status === 401 && refusalName(answer) === 'restricted_api_key') return;
      if (!isSuccess(answer)) throw failed(refusalOf(answer));
      if (!answer.text.trimStart().startsWith('{')) throw failed(unreadable(answer));
    },
    async close() {
      ending.abort();
    },
  };
}

/** Errors are stored and logged, so the key and whole addresses are removed from their messages. */
function failureBeside(apiKey: string): Failed {
  return ({ message, ...facts }) => {
    const text = cleanError(message.replaceAll(apiKey, '***'), 500);
    return new EmailError(text, { provider: 'resend', ...facts });
  };
}

function asking({ apiKey, baseUrl, leaseMs }: ResendOptions, ending: AbortSignal, failed: Failed): Ask {
  const timeoutMs = Math.floor((leaseMs * 3) / 4);
  return async (path, signal, asked) => {
    try {
      const response = await fetch(baseUrl + path, {
        ...asked,
        headers: { ...asked.headers, authorization: `Bearer ${apiKey}`, 'user-agent': 'waybill' },
        redirect: 'manual', // the key must not go to another address
        signal: AbortSignal.any([signal, ending, AbortSignal.timeout(timeoutMs)]),
      });
      return await readAnswer(response);
    } catch (error) {
      throw failed(lossOf(error)); // no cause: the error may hold parts of the request or the answer
    }
  };
}
