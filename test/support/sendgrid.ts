// A stand-in of SendGrid's Web API v3, after twilio.com/docs/sendgrid/api-reference/mail-send: it checks the key, its scope, the fields, their
// order and the uniqueness of addresses, and answers what a test wants it to.

import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { startMailApi, type Accepted, type Asked, type Judged, type MailApi, type MailApiOptions, type Reply } from './mail-api.ts'; // prettier-ignore

export const sendgridKey = 'SG.test-key-of-the-stand-in.0123456789';

const mailbox = z.strictObject({ email: z.string().regex(/^[^@\s]+@[^@\s]+$/), name: z.string().optional() });
const type = z.string().refine((text) => !/[;\r\n]/.test(text), "cannot contain ';' or CRLF");
/** Fields of the head that a request may not set. */
const reserved =
  /^(?:x-sg-id|x-sg-eid|received|dkim-signature|content-type|content-transfer-encoding|to|from|subject|reply-to|cc|bcc)$/i;

const body = z.strictObject({
  personalizations: z
    .array(
      z.strictObject({ to: z.array(mailbox).min(1), cc: z.array(mailbox).min(1).optional(), bcc: z.array(mailbox).min(1).optional() }),
    )
    .min(1)
    .max(1_000),
  from: mailbox,
  reply_to_list: z.array(mailbox).min(1).max(1_000).optional(),
  subject: z.string().min(1),
  content: z.array(z.strictObject({ type, value: z.string().min(1) })).min(1),
  headers: z.record(z.string().refine((name) => !reserved.test(name), 'is reserved'), z.string()).optional(),
  attachments: z
    .array(
      z.strictObject({
        content: z.base64(),
        filename: z.string(),
        type: type.optional(),
        disposition: z.enum(['attachment', 'inline']),
        content_id: z.string().optional(),
      }),
    )
    .optional(),
  custom_args: z.record(z.string(), z.string()).optional(),
}); // prettier-ignore

export function sendgridErrors(status: number, message: string, more: { field?: string; headers?: Record<string, string> } = {}): Reply {
  const { field = null, headers = {} } = more;
  return { status, headers, body: { errors: [{ message, field, help: null }] } };
} // prettier-ignore

export function startSendgrid(options: MailApiOptions = {}): Promise<MailApi> {
  return startMailApi((asked) => judge(asked, options), options);
}

function judge({ method, url, headers, body: bytes }: Asked, { verify }: MailApiOptions): Judged {
  if (headers.authorization !== `Bearer ${sendgridKey}`)
    return { say: sendgridErrors(401, 'The provided authorization grant is invalid, expired, or revoked') };
  if (method === 'GET' && url === '/v3/scopes')
    return { say: verify ?? { status: 200, body: { scopes: ['mail.send', 'sender_verification_eligible'] } } };
  if (url !== '/v3/mail/send') return { say: sendgridErrors(404, 'not found') };
  if (method !== 'POST') return { say: sendgridErrors(405, 'method not allowed') };
  if (headers.accept === undefined) return { say: sendgridErrors(406, 'missing Accept') };
  if (headers['content-type'] !== 'application/json') return { say: sendgridErrors(415, 'Content-Type should be application/json.') };
  if (bytes.length > 31_457_280) return { say: sendgridErrors(413, 'Payload too large') };
  return judgeEmail(bytes.toString());
} // prettier-ignore

function judgeEmail(text: string): Judged {
  const { data, error } = body.safeParse(JSON.parse(text));
  const [issue] = error?.issues ?? [];
  if (!data) return { say: sendgridErrors(400, issue?.message ?? 'Bad Request', { field: issue?.path.join('.') ?? '' }) };
  const { to, cc = [], bcc = [] } = data.personalizations[0]!;
  const recipients = [...to, ...cc, ...bcc].map(({ email }) => email);
  const unique = new Set(recipients.map((address) => address.toLowerCase()));
  if (unique.size < recipients.length)
    return { say: sendgridErrors(400, 'Each email address in the personalization block should be unique between to, cc, and bcc.', { field: 'personalizations.0' }) };
  if (recipients.length > 1_000) return { say: sendgridErrors(400, 'There is a limit of 1000 total recipients (to + cc + bcc) per request.') };
  const plain = data.content.findIndex((part) => part.type === 'text/plain');
  if (plain > 0) return { say: sendgridErrors(400, 'If present, text/plain must be first.', { field: 'content' }) };
  const email: Accepted = {
    message: data.custom_args?.['waybill_message'] ?? '',
    recipients,
    messageId: data.headers?.['Message-ID'] ?? '',
    parts: data,
  };
  return { email, taken: () => ({ status: 202, headers: { 'x-message-id': randomUUID().replaceAll('-', '').slice(0, 22) } }) };
} // prettier-ignore
