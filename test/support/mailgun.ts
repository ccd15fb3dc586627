// A stand-in of Mailgun's API, after documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages: it checks the login, the
// domain and the form in Mailgun's order, parses the MIME, and answers what a test wants it to.

import PostalMime from 'postal-mime';
import { startMailApi, type Accepted, type Asked, type Judged, type MailApi, type MailApiOptions, type Reply } from './mail-api.ts'; // prettier-ignore

export const mailgun = {
  apiKey: '0123456789abcdef0123456789abcdef-01234567-89abcdef',
  domain: 'mg.shop.test',
} as const;

export function mailgunError(status: number, message: string, headers: Record<string, string> = {}): Reply {
  return { status, headers, body: { message } };
}

export function startMailgun(options: MailApiOptions = {}): Promise<MailApi> {
  return startMailApi((asked) => judge(asked, options), options);
}

async function judge({ method, url, headers, body }: Asked, { verify }: MailApiOptions): Promise<Judged> {
  const login = Buffer.from(`api:${mailgun.apiKey}`).toString('base64');
  if (headers.authorization !== `Basic ${login}`)
    return { say: { status: 401, headers: { 'content-type': 'text/plain' }, body: 'Forbidden' } };
  const domain = /^\/v3\/([^/]+)\/messages\.mime$/.exec(url)?.[1];
  if (method !== 'POST' || domain === undefined) return { say: { status: 404, body: '404 page not found' } };
  if (domain !== mailgun.domain) return { say: mailgunError(404, `Domain not found: ${domain}`) };
  const type = headers['content-type'] ?? '';
  if (!type.startsWith('multipart/form-data;'))
    return { say: mailgunError(400, `Invalid request content type. Expecting 'multipart/form-data' but got '${type}'`) };
  if (body.length > 52_400_000) return { say: mailgunError(413, 'request size exceeds 52.4MiB limit') };
  const form = await new Response(new Uint8Array(body), { headers: { 'content-type': type } }).formData();
  return judgeForm(form, verify);
} // prettier-ignore

async function judgeForm(form: FormData, verify: Reply | undefined): Promise<Judged> {
  const recipients = form.getAll('to').map(String);
  if (recipients.length === 0) return { say: verify ?? mailgunError(400, 'to parameter is missing') };
  if (!recipients.every((one) => /^[^@\s,]+@[^@\s,]+$/.test(one)))
    return { say: mailgunError(400, 'to parameter is not a valid address. please check documentation') };
  if (recipients.length > 1_000) return { say: mailgunError(400, 'Too many recipients; max is 1000') };
  const message = form.get('message');
  if (message === null) return { say: mailgunError(400, 'message parameter is missing') };
  if (typeof message === 'string') return { say: mailgunError(400, "'message' parameter is not a file") };
  const source = Buffer.from(await message.arrayBuffer());
  const mail = await PostalMime.parse(source);
  if (mail.from === undefined) return { say: mailgunError(400, 'from parameter is missing') };
  const messageId = mail.messageId ?? '';
  const tag = form.get('v:waybill_message');
  const email: Accepted = {
    message: typeof tag === 'string' ? tag : '',
    recipients,
    messageId,
    parts: { source: source.toString(), mail },
  };
  return { email, taken: () => ({ status: 200, body: { id: messageId, message: 'Queued. Thank you.' } }) };
}
