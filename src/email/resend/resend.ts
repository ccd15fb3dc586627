// The provider `resend` sends through Resend's HTTP API. Every attempt of a message has the same key and bytes.
// Resend keeps keys for 24 hours, so within them a lost answer causes no duplicate.
// The provider does not retry, and it gives up before the lease expires.

import { isObject } from '../api/answer.ts';
import { createApi, type ApiOptions } from '../api/requests.ts';
import { asked, submit } from '../api/submission.ts';
import type { EmailError } from '../error.ts';
import type { EmailProvider } from '../provider.ts';
import { resendRefusal, takenId } from './answer.ts';
import { createResendBatches } from './batch.ts';
import { resendBody } from './body.ts';

export type ResendOptions = Pick<ApiOptions, 'baseUrl' | 'leaseMs'> & { readonly apiKey: string };

export function createResendProvider({ apiKey, ...options }: ResendOptions): EmailProvider {
  const api = createApi({
    ...options,
    provider: 'resend',
    secrets: [apiKey],
    authorize: () => ({ authorization: `Bearer ${apiKey}` }),
  });
  return {
    name: 'resend',
    idempotent: true,
    batch: createResendBatches(api.ask, api.failed),
    async send(email, { signal, ...about }) {
      const body = resendBody(email, about);
      const headers = { 'content-type': 'application/json', 'idempotency-key': about.idempotencyKey };
      const request = { path: '/emails', signal, method: 'POST', headers, body: body.json } as const;
      return submit(api, body, request, { refusal: resendRefusal, success: takenId });
    },
    async verify(signal) {
      const request = { path: '/domains', signal, method: 'GET' } as const;
      await asked(api, request, { refusal: resendRefusal, success: isObject }).catch(exceptLackOfRights);
    },
    close: api.close,
  };
}

/** A key that may only send cannot read the domains; the refusal proves that the key is valid. */
function exceptLackOfRights(error: EmailError): void {
  if (error.status !== 401 || error.code !== 'restricted_api_key') throw error;
}
