// The provider `sendgrid` sends through SendGrid's Web API v3 (twilio.com/docs/sendgrid/api-reference/mail-send).
// SendGrid takes no idempotency key, so a lost answer is ambiguous.

import { z } from 'zod';
import type { Milliseconds } from '../../ports.ts';
import { jsonOf, refusalOf, untilMoment, type Answer, type Told } from '../api/answer.ts';
import { createApi, type ApiOptions } from '../api/requests.ts';
import { asked, submit } from '../api/submission.ts';
import type { EmailProvider } from '../provider.ts';
import { sendgridBody } from './body.ts';

export type SendgridOptions = Pick<ApiOptions, 'baseUrl' | 'leaseMs'> & { readonly apiKey: string };

const word = z.string().nullish().catch(undefined);
const refused = z.object({
  errors: z.array(z.object({ message: word, field: word })).catch([]),
});
const scopes = z.object({ scopes: z.array(z.string()) });

/** The scope without which a key cannot send. */
const sending = 'mail.send';

export function createSendgridProvider({ apiKey, ...options }: SendgridOptions): EmailProvider {
  const api = createApi({
    ...options,
    provider: 'sendgrid',
    secrets: [apiKey],
    authorize: () => ({ authorization: `Bearer ${apiKey}` }),
  });
  return {
    name: 'sendgrid',
    idempotent: false,
    async send(email, { signal, ...about }) {
      const mail = sendgridBody(email, about);
      const headers = { 'content-type': 'application/json' };
      const request = { path: '/v3/mail/send', signal, method: 'POST', headers, body: mail.json } as const;
      return submit(api, mail, request, { refusal: sendgridRefusal, success: takenId });
    },
    async verify(signal) {
      const request = { path: '/v3/scopes', signal, method: 'GET' } as const;
      const success = (answer: Answer) => scopes.safeParse(jsonOf(answer)).data?.scopes;
      const { said } = await asked(api, request, { refusal: sendgridRefusal, success });
      const message = `the key is not authorized to send: it lacks the scope ${sending}`;
      if (!said.includes(sending)) throw api.failed({ message, phase: 'answered', status: 403 });
    },
    close: api.close,
  };
}

/** An acceptance has no body; its head has SendGrid's id of the email. */
function takenId({ headers }: Answer): string | undefined {
  return /^[\x21-\x7e]{1,200}$/.exec(headers.get('x-message-id') ?? '')?.[0];
}

/** Several errors become one text. */
export function sendgridRefusal(answer: Answer): Told {
  const { errors = [] } = refused.safeParse(jsonOf(answer)).data ?? {};
  const texts = errors.map(({ field, message }) => [field, message].filter(Boolean).join(': '));
  const message = texts.filter((text) => text !== '').join('; ') || undefined;
  return refusalOf(answer, { message }, resetOf(answer.headers));
}

/** When requests are taken again, in seconds since 1970. SendGrid sends no Retry-After. */
function resetOf(headers: Headers): Milliseconds | undefined {
  const reset = headers.get('x-ratelimit-reset') ?? '';
  return /^\d{1,12}$/.test(reset) ? untilMoment(Number(reset) * 1_000, headers) : undefined;
}
