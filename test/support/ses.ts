// A stand-in of Amazon SES's API v2, after docs.aws.amazon.com/ses/latest/APIReference-V2: it checks each request's signature by itself
// (AWS Signature Version 4, with Node's crypto), the fields and the limits, parses the MIME, and answers what a test wants it to.

import { createHash, createHmac, randomUUID } from 'node:crypto';
import PostalMime from 'postal-mime';
import { z } from 'zod';
import { startMailApi, type Accepted, type Asked, type Judged, type MailApi, type MailApiOptions, type Reply } from './mail-api.ts'; // prettier-ignore

export const sesCredentials = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  sessionToken: null,
  region: 'eu-west-1',
} as const;

const body = z.strictObject({
  Content: z.strictObject({ Raw: z.strictObject({ Data: z.base64() }) }),
  Destination: z.strictObject({ ToAddresses: z.array(z.string()).min(1) }),
  EmailTags: z.array(z.strictObject({ Name: z.string().regex(/^[\w-]{1,256}$/), Value: z.string().regex(/^[\w.@-]{1,256}$/) })).max(50),
  ConfigurationSetName: z.string().optional(),
}); // prettier-ignore

/** SES names the type of an error in the head. */
export function sesError(type: string, message: string, status = 400): Reply {
  return {
    status,
    headers: { 'x-amzn-errortype': `${type}:http://internal.amazon.com/` },
    body: { message },
  };
}

export type SesOptions = MailApiOptions & {
  readonly configurationSets?: readonly string[];
  /** Of temporary credentials, which every request then needs. */
  readonly sessionToken?: string;
};

export function startSes(options: SesOptions = {}): Promise<MailApi> {
  return startMailApi((asked) => judge(asked, options), options);
}

async function judge(asked: Asked, options: SesOptions): Promise<Judged> {
  const { method, url, headers, body: bytes } = asked;
  const { verify, sessionToken, configurationSets = [] } = options;
  const wrong = signatureProblem(asked, sessionToken);
  if (wrong !== undefined) return { say: wrong };
  if (method === 'GET' && url === '/v2/email/account')
    return { say: verify ?? { status: 200, body: { SendingEnabled: true, ProductionAccessEnabled: true } } };
  if (method !== 'POST' || url !== '/v2/email/outbound-emails')
    return { say: sesError('UnknownOperationException', 'unknown', 404) };
  if (headers['content-type'] !== 'application/json')
    return { say: sesError('BadRequestException', 'not JSON') };
  const { data, error } = body.safeParse(JSON.parse(bytes.toString()));
  if (error) return { say: sesError('BadRequestException', error.issues[0]!.message) };
  const { ToAddresses: recipients } = data.Destination;
  if (recipients.length > 50) return { say: sesError('BadRequestException', 'Recipient count exceeds 50.') };
  const set = data.ConfigurationSetName;
  if (set !== undefined && !configurationSets.includes(set))
    return { say: sesError('NotFoundException', `Configuration set <${set}> does not exist.`, 404) };
  const source = Buffer.from(data.Content.Raw.Data, 'base64');
  if (source.length > 41_943_040) return { say: sesError('MessageRejected', 'Message length is too large') };
  const mail = await PostalMime.parse(source);
  if (mail.from === undefined) return { say: sesError('BadRequestException', "Missing final '@domain'") };
  const MessageId = `0102${randomUUID()}-000000`;
  const email: Accepted = {
    message: data.EmailTags.find(({ Name }) => Name === 'waybill_message')?.Value ?? '',
    recipients,
    messageId: `<${MessageId}@eu-west-1.amazonses.com>`, // SES replaces the one in the source
    parts: { source: source.toString(), mail },
  };
  return { email, taken: () => ({ status: 200, body: { MessageId } }) };
}

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
const sha256 = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');

/** docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html */
function signatureProblem({ method, url, headers, body: bytes }: Asked, sessionToken?: string): Reply | undefined {
  const { authorization = '' } = headers;
  const [, id, day, region, service, names = '', signature] =
    /^AWS4-HMAC-SHA256 Credential=(\w+)\/(\d{8})\/([\w-]+)\/(\w+)\/aws4_request, SignedHeaders=([\w;-]+), Signature=([0-9a-f]{64})$/.exec(authorization) ?? [];
  if (signature === undefined) return sesError('MissingAuthenticationTokenException', 'Missing Authentication Token', 403);
  if (id !== sesCredentials.accessKeyId) return sesError('UnrecognizedClientException', 'The security token included in the request is invalid.', 403);
  if (headers['x-amz-security-token'] !== sessionToken) return sesError('ExpiredTokenException', 'The security token included in the request is expired', 403);
  const signed = names.split(';');
  const time = String(headers['x-amz-date']);
  if (!signed.includes('host') || !signed.includes('x-amz-date')) return sesError('IncompleteSignature', 'host and x-amz-date must be signed', 403);
  const moment = Date.parse(time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (!(Math.abs(Date.now() - moment) < 300_000)) return sesError('InvalidSignatureException', `Signature expired: ${time} is now earlier than 5 min.`, 403);
  const lines = signed.map((name) => `${name}:${String(headers[name]).trim().replaceAll(/ +/g, ' ')}`);
  const canonical = [method, url, '', ...lines, '', names, sha256(bytes)].join('\n');
  const scope = `${day}/${region}/${service}/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n');
  const key = [region!, service!, 'aws4_request'].reduce(hmac, hmac(`AWS4${sesCredentials.secretAccessKey}`, day!));
  const right = hmac(key, toSign).toString('hex') === signature && region === sesCredentials.region && service === 'ses';
  return right ? undefined : sesError('InvalidSignatureException', 'The request signature we calculated does not match the signature you provided.', 403);
} // prettier-ignore
