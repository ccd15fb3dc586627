// The provider `postmark` sends through Postmark's HTTP API (postmarkapp.com/developer/api/email-api).
// Postmark takes no idempotency key, so a lost answer is ambiguous.

import { z } from 'zod';
import { receiptOf } from '../addressees.ts';
import { isSuccess, jsonOf, refusalOf, unreadable, type Answer, type Told } from '../api/answer.ts';
import { createApi, type ApiOptions } from '../api/requests.ts';
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
  const { ask, failed, close } = createApi({
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
      const answer = await ask('/email', signal, { method: 'POST', headers, body: mail.json });
      if (!isSuccess(answer)) throw failed(postmarkRefusal(answer));
      const said = taken.safeParse(jsonOf(answer)).data;
      if (said === undefined) throw failed(unreadable(answer));
      return withoutInactive(receiptOf(mail, answer.status, said.MessageID), said.Message);
    },
    async verify(signal) {
      const answer = await ask('/server', signal, { method: 'GET' });
      if (!isSuccess(answer)) throw failed(postmarkRefusal(answer));
      if (!answer.text.trimStart().startsWith('{')) throw failed(unreadable(answer));
    },
    close,
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
