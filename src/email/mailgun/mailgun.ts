// The provider `mailgun` sends through Mailgun's HTTP API (documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages).
// It sends the bytes that the provider smtp would send. Mailgun takes no idempotency key, so a lost answer is ambiguous.

import { z } from 'zod';
import type { Milliseconds } from '../../ports.ts';
import {
  isSuccess,
  jsonOf,
  refusalOf,
  unreadable,
  untilMoment,
  type Answer,
  type Told,
} from '../api/answer.ts';
import { createApi, type ApiOptions } from '../api/requests.ts';
import { submit } from '../api/submission.ts';
import type { EmailProvider } from '../provider.ts';
import { sourceOf } from '../source.ts';

export type MailgunOptions = Pick<ApiOptions, 'baseUrl' | 'leaseMs'> & {
  readonly apiKey: string;
  /** The sending domain. */
  readonly domain: string;
};

/** The variable with the message's id; Mailgun's reports contain it. */
export const messageVariable = 'waybill_message';

const taken = z.object({ id: z.string().regex(/^[\x21-\x7e]{1,300}$/) });
const refused = z.object({ message: z.string() });

export function createMailgunProvider({ apiKey, domain, ...options }: MailgunOptions): EmailProvider {
  const login = Buffer.from(`api:${apiKey}`).toString('base64');
  const api = createApi({
    ...options,
    provider: 'mailgun',
    secrets: [apiKey, login],
    authorize: () => ({ authorization: `Basic ${login}` }),
  });
  const path = `/v3/${domain}/messages.mime`;
  return {
    name: 'mailgun',
    idempotent: false,
    async send(email, { signal, ...about }) {
      const body = new FormData();
      for (const recipient of about.recipients) body.append('to', recipient);
      body.append('message', new Blob([await bytesOf(email, about)]), 'message.mime');
      body.append(`v:${messageVariable}`, about.idempotencyKey);
      const request = { path, signal, method: 'POST', body } as const;
      const mail = { recipients: about.recipients, later: [] };
      return submit(api, mail, request, { refusal: mailgunRefusal, success: takenId });
    },
    /** A key that may only send can read nothing. So this asks to send to nobody: the complaint about `to` proves that the key is valid. */
    async verify(signal) {
      const body = new FormData();
      body.append('message', new Blob(['']), 'message.mime');
      body.append('o:testmode', 'yes');
      const answer = await api.ask(path, signal, { method: 'POST', body });
      const told = mailgunRefusal(answer);
      if (answer.status === 400 && /\bto parameter\b/i.test(told.message)) return;
      throw api.failed(isSuccess(answer) ? unreadable(answer) : told);
    },
    close: api.close,
  };
}

async function bytesOf(...mail: Parameters<typeof sourceOf>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await sourceOf(...mail));
}

/** Without its angle brackets, as reports have it. */
function takenId(answer: Answer): string | undefined {
  return taken.safeParse(jsonOf(answer)).data?.id.replace(/^<|>$/g, '');
}

/** JSON with a message; for a wrong key the bare word Forbidden. A bare line with another status may be a proxy's. */
export function mailgunRefusal(answer: Answer): Told {
  const json = refused.safeParse(jsonOf(answer)).data?.message;
  const plain = answer.status !== 401 ? undefined : /^[^<\r\n]{1,200}$/.exec(answer.text.trim())?.[0];
  const message = json ?? plain;
  return refusalOf(answer, { message }, afterOf(message, answer.headers));
}

/** "… limit exceeded, try again after Mon, 20 Dec 2021 20:33:21 UTC". */
function afterOf(message: string | undefined, headers: Headers): Milliseconds | undefined {
  const date = /\btry again after ([A-Z][a-z]{2}, [\w: ]{10,40})/.exec(message ?? '')?.[1];
  return date === undefined ? undefined : untilMoment(Date.parse(date), headers);
}
