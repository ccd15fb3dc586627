// The provider `resend` sends through Resend's HTTP API. Every attempt of a message has the same key and bytes.
// Resend keeps keys for 24 hours, so within them a lost answer causes no duplicate.
// The provider does not retry, and it gives up before the lease expires.

import { receiptOf } from '../addressees.ts';
import { isSuccess, unreadable } from '../api/answer.ts';
import { createApi, type ApiOptions } from '../api/requests.ts';
import type { EmailProvider } from '../provider.ts';
import { refusalName, resendRefusal, takenId } from './answer.ts';
import { createResendBatches } from './batch.ts';
import { resendBody } from './body.ts';

export type ResendOptions = Pick<ApiOptions, 'baseUrl' | 'leaseMs'> & { readonly apiKey: string };

export function createResendProvider({ apiKey, ...options }: ResendOptions): EmailProvider {
  const { ask, failed, close } = createApi({
    ...options,
    provider: 'resend',
    secrets: [apiKey],
    authorize: () => ({ authorization: `Bearer ${apiKey}` }),
  });
  return {
    name: 'resend',
    idempotent: true,
    batch: createResendBatches(ask, failed),
    async send(email, { signal, ...about }) {
      const body = resendBody(email, about);
      const headers = { 'content-type': 'application/json', 'idempotency-key': about.idempotencyKey };
      const answer = await ask('/emails', signal, { method: 'POST', headers, body: body.json });
      if (!isSuccess(answer)) throw failed(resendRefusal(answer));
      const id = takenId(answer);
      if (id === undefined) throw failed(unreadable(answer));
      return receiptOf(body, answer.status, id);
    },
    async verify(signal) {
      const answer = await ask('/domains', signal, { method: 'GET' });
      // A key that may only send cannot read this; the refusal proves that the key is valid.
      if (answer.status === 401 && refusalName(answer) === 'restricted_api_key') return;
      if (!isSuccess(answer)) throw failed(resendRefusal(answer));
      if (!answer.text.trimStart().startsWith('{')) throw failed(unreadable(answer));
    },
    close,
  };
}
