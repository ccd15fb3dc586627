// The provider `postmark` sends through Postmark's HTTP API (postmarkapp.com/developer/api/email-api).
// Postmark takes no idempotency key, so a lost answer is ambiguous.

import { z } from 'zod';
import { isObject, jsonOf, refusalOf, type Answer, type Told } from '../api/answer.ts';
import { createApi, type ApiOptions } from '../api/requests.ts';
import { asked, submit } from '../api/submission.ts';
import type { EmailProvider, Receipt } from '../provider.ts';
import { postmarkBody, type Streams } from './body.ts';

export type PostmarkOptions = Pick<ApiOptions, 'baseUrl' | 'leaseMs'> & {
  readonly serverToken: string;
  readonly streams: Streams;
};

const taken = z.object({
  ErrorCode: z.literal(0),
  MessageID: z.string().regex(/^[\x21-\x7e]{1,200}$/),
  Message: z.string().catch(''),
});
const refused = z.object({
  ErrorCode: z.int().min(0).max(99_999).transform(String).optional().catch(undefined),
  Message: z.string().optional().catch(undefined),
});

export function createPostmarkProvider({ serverToken, streams, ...options }: PostmarkOptions): EmailProvider {
  const api = createApi({
    ...options,
    provider: 'postmark',
    secrets: [serverToken],
    authorize: () => ({ 'x-postmark-server-token': serverToken }),
  });
  return {
    name: 'postmark',
    idempotent: false,
    async send(email, { signal, ...about }) {
      const mail = postmarkBody(email, about, streams);
      const headers = { 'content-type': 'application/json' };
      const request = { path: '/email', signal, method: 'POST', headers, body: mail.json } as const;
      let message = '';
      const success = (answer: Answer): string | undefined => {
        const said = taken.safeParse(jsonOf(answer)).data;
        message = said?.Message ?? '';
        return said?.MessageID;
      };
      const receipt = await submit(api, mail, request, { refusal: postmarkRefusal, success });
      return withoutInactive(receipt, message);
    },
    async verify(signal) {
      const request = { path: '/server', signal, method: 'GET' } as const;
      await asked(api, request, { refusal: postmarkRefusal, success: isObject });
    },
    close: api.close,
  };
}

/** ErrorCode and Message (postmarkapp.com/developer/api/overview#error-codes). */
export function postmarkRefusal(answer: Answer): Told {
  const { ErrorCode: code, Message: message } = refused.safeParse(jsonOf(answer)).data ?? {};
  return refusalOf(answer, { code, message });
}

const inactive = 'inactive at Postmark: an earlier hard bounce, a complaint or a suppression';

/**
 * When only some recipients are inactive, Postmark accepts the email for the others and names the inactive ones in the
 * text of its answer: "Message OK, but will not deliver to these inactive addresses: a@b.test, c@b.test. Inactive …".
 */
export function withoutInactive(receipt: Receipt, message: string): Receipt {
  const listed = /\binactive addresses: ([^\r\n]{1,20000})/.exec(message)?.[1] ?? '';
  const named = new Set(
    listed
      .toLowerCase()
      .split(/[,\s]+/)
      .map((word) => word.replace(/\.$/, '')),
  );
  const isInactive = (address: string) => named.has(address.toLowerCase());
  const refusals = receipt.accepted.filter(isInactive).map((address) => ({ address, error: inactive }));
  return {
    ...receipt,
    accepted: receipt.accepted.filter((address) => !isInactive(address)),
    rejected: [...refusals, ...receipt.rejected],
  };
}
