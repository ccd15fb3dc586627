// A stand-in of Postmark's email API, after postmarkapp.com/developer/api/email-api and its table of error codes: it checks the token, the
// fields and the limits, knows message streams and inactive recipients, and answers what a test wants it to.

import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { parseAddress } from '../../src/address/mailbox.ts';
import { startMailApi, type Accepted, type Asked, type Judged, type MailApi, type MailApiOptions, type Reply } from './mail-api.ts'; // prettier-ignore

export type PostmarkOptions = MailApiOptions & {
  /** Addresses that had a hard bounce before. */
  readonly inactive?: readonly string[];
};

export const postmarkToken = '0f9c1a52-3b7e-4d21-9a64-5e8d7c6b4a30';

const body = z.strictObject({
  From: z.string().max(255),
  To: z.string().min(1),
  Cc: z.string().optional(),
  Bcc: z.string().optional(),
  ReplyTo: z.string().optional(),
  Subject: z.string().max(2_000).optional(),
  HtmlBody: z.string().max(5_242_880).optional(),
  TextBody: z.string().max(5_242_880).optional(),
  Headers: z.array(z.strictObject({ Name: z.string(), Value: z.string() })).optional(),
  Attachments: z
    .array(
      z.strictObject({
        Name: z.string(),
        Content: z.base64(),
        ContentType: z.string(),
        ContentID: z.string().startsWith('cid:').optional(),
      }),
    )
    .optional(),
  Metadata: z.record(z.string().max(20), z.string().max(80)).optional(),
  MessageStream: z.string().optional(),
});

const streams = ['outbound', 'broadcast'];
const inactiveText =
  'Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression.';

export function postmarkError(ErrorCode: number, Message: string, status = 422): Reply {
  return { status, headers: { 'x-pm-apierrorcode': String(ErrorCode) }, body: { ErrorCode, Message } };
}

export function startPostmark(options: PostmarkOptions = {}): Promise<MailApi> {
  return startMailApi((asked) => judge(asked, options), options);
}

function judge({ method, url, headers, body: bytes }: Asked, options: PostmarkOptions): Judged {
  const { inactive = [], verify } = options;
  if (headers['x-postmark-server-token'] !== postmarkToken)
    return { say: postmarkError(10, 'Request does not contain a valid Server token.', 401) };
  if (method === 'GET' && url === '/server')
    return { say: verify ?? { status: 200, body: { ID: 1, Name: 'Shop', DeliveryType: 'Live' } } };
  if (method !== 'POST' || url !== '/email') return { say: { status: 404 } };
  if (headers['content-type'] !== 'application/json' || headers.accept !== 'application/json')
    return { say: { status: 415 } };
  if (bytes.length > 10_485_760) return { say: { status: 413 } };
  return judgeEmail(bytes.toString(), inactive);
}

function judgeEmail(text: string, inactive: readonly string[]): Judged {
  const { data, error } = body.safeParse(JSON.parse(text));
  if (error)
    return { say: postmarkError(403, `Invalid request field(s): '${error.issues[0]!.path.join('.')}'.`) };
  const fields = [data.To, data.Cc, data.Bcc].map(listed);
  const everybody = fields.flat();
  if (everybody.includes(undefined)) return { say: postmarkError(300, 'Error parsing address.') };
  if (everybody.length > 50)
    return { say: postmarkError(300, 'Maximum of 50 recipients allowed per email message.') };
  if (!data.HtmlBody && !data.TextBody)
    return { say: postmarkError(300, 'Provide either TextBody or HtmlBody.') };
  const { MessageStream: stream = 'outbound' } = data;
  if (!streams.includes(stream))
    return {
      say: postmarkError(1235, `The 'MessageStream' provided '${stream}' does not exist on this server.`),
    };
  const recipients = everybody as string[];
  const [gone, reached] = [true, false].map((is) =>
    recipients.filter((one) => inactive.includes(one) === is),
  );
  if (reached!.length === 0)
    return { say: postmarkError(406, `Found inactive addresses: ${gone!.join(', ')}. ${inactiveText}`) };
  const named = new Map(data.Headers?.map(({ Name, Value }) => [Name.toLowerCase(), Value]));
  const kept = named.get('x-pm-keepid') === 'true' ? named.get('message-id') : undefined;
  const email: Accepted = {
    message: data.Metadata?.['waybill_message'] ?? '',
    recipients: reached!,
    messageId: kept ?? `<${randomUUID()}@mtasv.net>`,
    parts: data,
  };
  const Message =
    gone!.length === 0
      ? 'OK'
      : `Message OK, but will not deliver to these inactive addresses: ${gone!.join(', ')}. ${inactiveText}`;
  const taken = {
    To: data.To,
    SubmittedAt: new Date().toISOString(),
    MessageID: randomUUID(),
    ErrorCode: 0,
    Message,
  };
  return { email, taken: () => ({ status: 200, body: taken }) };
}

/** The addresses of a field; undefined for one that is none. Names with commas are quoted. */
function listed(field: string | undefined): (string | undefined)[] {
  const parts = field?.match(/(?:"(?:[^"\\]|\\.)*"|[^",])+/g) ?? [];
  return parts.map((part) => {
    const parsed = parseAddress(part.trim());
    return 'address' in parsed ? parsed.address : undefined;
  });
}
