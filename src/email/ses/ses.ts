// The provider `ses` sends through Amazon SES's API v2 (docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html).
// It sends the bytes that the provider smtp would send. SES takes no idempotency key, so a lost answer is ambiguous.

import { z } from 'zod';
import { jsonOf, refusalOf, type Answer, type Told } from '../api/answer.ts';
import { createApi, type ApiOptions } from '../api/requests.ts';
import { asked, submit } from '../api/submission.ts';
import type { EmailPayload } from '../email.ts';
import type { EmailError } from '../error.ts';
import type { EmailProvider, Handover } from '../provider.ts';
import { sourceOf } from '../source.ts';
import { createSigning, type Credentials } from './signing.ts';

export type SesOptions = Pick<ApiOptions, 'baseUrl' | 'leaseMs'> & {
  readonly credentials: Credentials;
  /** For events; null: the default one of the sender's identity. */
  readonly configurationSet: string | null;
};

/** The tag with the message's id; SES's events contain it. */
export const messageTag = 'waybill_message';

/** SES's limit for recipients of one email. */
const maxRecipients = 50;

const taken = z.object({ MessageId: z.string().regex(/^[\x21-\x7e]{1,200}$/) });
const refused = z.object({
  message: z.string().optional().catch(undefined),
  Message: z.string().optional().catch(undefined),
  __type: z.string().optional().catch(undefined),
});
const account = z.object({ SendingEnabled: z.boolean() });

/** @throws WaybillError `email_package_missing` */
export function createSesProvider({ credentials, configurationSet, ...options }: SesOptions): EmailProvider {
  const { secretAccessKey, sessionToken } = credentials;
  const api = createApi({
    ...options,
    provider: 'ses',
    secrets: [secretAccessKey, ...(sessionToken === null ? [] : [sessionToken])],
    authorize: createSigning(credentials),
  });
  return {
    name: 'ses',
    idempotent: false,
    async send(email, { signal, ...about }) {
      const recipients = about.recipients.slice(0, maxRecipients);
      const later = about.recipients.slice(maxRecipients);
      const body = await sesBody(email, { ...about, recipients }, configurationSet);
      const headers = { 'content-type': 'application/json' };
      const request = { path: '/v2/email/outbound-emails', signal, method: 'POST', headers, body } as const;
      const success = (answer: Answer) => taken.safeParse(jsonOf(answer)).data?.MessageId;
      return submit(api, { recipients, later }, request, { refusal: sesRefusal, success });
    },
    async verify(signal) {
      const request = { path: '/v2/email/account', signal, method: 'GET' } as const;
      const success = (answer: Answer) => account.safeParse(jsonOf(answer)).data?.SendingEnabled;
      const { said } = await asked(api, request, { refusal: sesRefusal, success }).catch(exceptLackOfRights);
      const message = 'sending is not enabled for this account and region';
      if (!said) throw api.failed({ message, phase: 'answered', code: 'SendingPausedException' });
    },
    close: api.close,
  };
}

/** A key that may only send cannot read the account; the refusal proves that the key is valid. */
function exceptLackOfRights(error: EmailError): { readonly said: true } {
  if (error.code === 'AccessDeniedException') return { said: true };
  throw error;
}

/** The recipients of the request take precedence over those that the source names. */
async function sesBody(
  email: EmailPayload,
  about: Omit<Handover, 'signal'>,
  configurationSet: string | null,
): Promise<string> {
  const source = await sourceOf(email, about);
  return JSON.stringify({
    Content: { Raw: { Data: source.toString('base64') } },
    Destination: { ToAddresses: about.recipients },
    EmailTags: [{ Name: messageTag, Value: about.idempotencyKey }],
    ...(configurationSet !== null && { ConfigurationSetName: configurationSet }),
  });
}

/** The type of an error is in its head or its body, with a namespace before it or a URL after it. */
export function sesRefusal(answer: Answer): Told {
  const said = refused.safeParse(jsonOf(answer)).data ?? {};
  const type = answer.headers.get('x-amzn-errortype') ?? said.__type ?? '';
  const code = /^(?:[\w.]{1,100}#)?([A-Za-z]{1,100})(?::|$)/.exec(type)?.[1];
  return refusalOf(answer, { code, message: said.message ?? said.Message });
}
