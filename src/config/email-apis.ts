// The settings of the email providers with HTTP APIs. A key that shows by its form that it is another provider's is refused with the name of
// the variable where it belongs.

import { createPublicKey } from 'node:crypto';
import type { Report } from './admin-keys.ts';
import type { EmailProviderName } from './provider-list.ts';
import type { reader } from './variables.ts';
import { snsUrlOf, type SnsTopic } from '../webhook/sns.ts';

/** Each is null when one of its required variables is not set. */
export type EmailApis = {
  readonly postmark: {
    readonly serverToken: string;
    /** Without a trailing slash, like all of them. */
    readonly baseUrl: string;
    readonly streams: { readonly transactional: string; readonly broadcast: string };
  } | null;
  readonly sendgrid: { readonly apiKey: string; readonly baseUrl: string } | null;
  readonly ses: {
    readonly credentials: {
      readonly accessKeyId: string;
      readonly secretAccessKey: string;
      readonly sessionToken: string | null;
      readonly region: string;
    };
    readonly baseUrl: string;
    readonly configurationSet: string | null;
  } | null;
  readonly mailgun: { readonly apiKey: string; readonly domain: string; readonly baseUrl: string } | null;
  /** What proves that a report comes from the provider; null: its webhook is closed. */
  readonly reports: Readonly<Record<'postmark' | 'sendgrid' | 'mailgun', string | null>> & {
    readonly ses: SnsTopic | null;
  };
};

const sesVariables = [
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_REGION',
  'AWS_ENDPOINT_URL_SESV2',
  'SES_CONFIGURATION_SET',
];

type Reader = ReturnType<typeof reader>;

/** The value if it has the form; default: that of the variable. */
type Word = (name: string, form: RegExp, rule: string, value?: string | null) => string | null;

/** The forms of keys that show whose they are. */
const forms: readonly { readonly variable: string; readonly whose: string; readonly form: RegExp }[] = [
  { variable: 'RESEND_API_KEY', whose: 'a key of Resend (re_…)', form: /^re_/ },
  { variable: 'RESEND_WEBHOOK_SECRET', whose: 'a signing secret (whsec_…)', form: /^whsec_/ },
  { variable: 'SENDGRID_API_KEY', whose: 'a key of SendGrid (SG.…)', form: /^SG\./ },
  {
    variable: 'POSTMARK_SERVER_TOKEN',
    whose: 'a token of Postmark (a UUID)',
    form: /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i,
  },
  {
    variable: 'MAILGUN_API_KEY',
    whose: 'a key of Mailgun',
    form: /^key-[0-9a-f]{32}$|^[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}$/,
  },
  {
    variable: 'AWS_ACCESS_KEY_ID',
    whose: 'the id of an access key of AWS',
    form: /^A[KS]IA[A-Z0-9]{12,124}$/,
  },
];

/** A key of a provider. A problem never repeats the value. */
export function providerKey(read: Reader, report: Report, name: string): string | null {
  const value = read.key(name, 1);
  const owner = forms.find(({ variable, form }) => variable !== name && form.test(value ?? ''));
  if (owner === undefined) return value;
  report(name, `has ${owner.whose}: set it as ${owner.variable}`);
  return null;
}

/**
 * @param least the length of a password that nobody can guess
 * @param isChosen whether the provider may send; variables of AWS that serve other purposes are not judged without it
 */
export function readEmailApis(
  read: Reader,
  report: Report,
  least: number,
  isChosen: (provider: EmailProviderName) => boolean,
): EmailApis {
  const key = (name: string) => providerKey(read, report, name);
  const word: Word = (name, form, rule, value = read.text(name) ?? null) => {
    if (value === null || form.test(value)) return value;
    report(name, rule);
    return null;
  };
  const stream = (name: string): string | null =>
    word(name, /^[A-Za-z][A-Za-z0-9-]{0,29}$/, 'must be the id of a message stream, such as outbound');

  const serverToken = key('POSTMARK_SERVER_TOKEN');
  const postmarkUrl = read.webUrl('POSTMARK_BASE_URL') ?? 'https://api.postmarkapp.com';
  const streams = {
    transactional: stream('POSTMARK_STREAM') ?? 'outbound',
    broadcast: stream('POSTMARK_BROADCAST_STREAM') ?? 'broadcast',
  };
  const sendgridKey = key('SENDGRID_API_KEY');
  const sendgridUrl = read.webUrl('SENDGRID_BASE_URL') ?? 'https://api.sendgrid.com';
  const mailgunKey = key('MAILGUN_API_KEY');
  const mailgunUrl = read.webUrl('MAILGUN_BASE_URL') ?? 'https://api.mailgun.net';
  const domain = word(
    'MAILGUN_DOMAIN',
    /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,10}[A-Za-z0-9-]{2,63}$/,
    'must be the sending domain, such as mg.shop.example',
  );
  return {
    postmark: serverToken === null ? null : { serverToken, baseUrl: postmarkUrl, streams },
    sendgrid: sendgridKey === null ? null : { apiKey: sendgridKey, baseUrl: sendgridUrl },
    ses: isChosen('ses') ? sesOf(key, word, read) : unjudged(read),
    mailgun:
      mailgunKey === null || domain === null ? null : { apiKey: mailgunKey, domain, baseUrl: mailgunUrl },
    reports: reportsOf(word, read, { report, least }),
  };
}

function reportsOf(
  word: Word,
  read: Reader,
  { report, least }: { readonly report: Report; readonly least: number },
): EmailApis['reports'] {
  return {
    postmark: word(
      'POSTMARK_WEBHOOK_CREDENTIALS',
      /^[^:]+:[^:]+$/,
      'must be user:password, as in the URL of the webhook',
      read.key('POSTMARK_WEBHOOK_CREDENTIALS', least),
    ),
    sendgrid: verificationKey(read, report),
    ses: topicOf(word, read),
    mailgun: read.key('MAILGUN_WEBHOOK_SIGNING_KEY', 1),
  };
}

/** AWS_ENDPOINT_URL_SNS may serve other purposes, so it is judged only with a topic. */
function topicOf(word: Word, read: Reader): SnsTopic | null {
  read.isSet('AWS_ENDPOINT_URL_SNS');
  const arn = word(
    'SES_TOPIC_ARN',
    /^arn:aws(?:-cn|-us-gov)?:sns:[a-z]{2}(?:-[a-z]{1,12}){1,3}-\d{1,2}:\d{12}:[\w-]{1,256}$/,
    'must be the ARN of a standard topic of Amazon SNS, such as arn:aws:sns:eu-west-1:123456789012:emails',
  );
  return arn === null ? null : { arn, baseUrl: read.webUrl('AWS_ENDPOINT_URL_SNS') ?? snsUrlOf(arn) };
}

/** A public key for ECDSA. */
function isVerificationKey(base64: string): boolean {
  try {
    const key = createPublicKey({ key: Buffer.from(base64, 'base64'), format: 'der', type: 'spki' });
    return key.asymmetricKeyType === 'ec';
  } catch {
    return false; // no key at all
  }
}

function verificationKey(read: Reader, report: Report): string | null {
  const value = read.text('SENDGRID_WEBHOOK_KEY') ?? null;
  if (value === null || isVerificationKey(value)) return value;
  report('SENDGRID_WEBHOOK_KEY', 'must be the verification key of the signed event webhook, in base64');
  return null;
}

/** The variables are known all the same. */
function unjudged(read: Reader): null {
  for (const name of sesVariables) read.isSet(name);
  return null;
}

function sesOf(key: (name: string) => string | null, word: Word, read: Reader): EmailApis['ses'] {
  const accessKeyId = word(
    'AWS_ACCESS_KEY_ID',
    /^\w{16,128}$/,
    'must be the id of an access key, such as AKIA…',
    key('AWS_ACCESS_KEY_ID'),
  );
  const secretAccessKey = key('AWS_SECRET_ACCESS_KEY');
  const sessionToken = read.text('AWS_SESSION_TOKEN') ?? null;
  const region = word(
    'AWS_REGION',
    /^[a-z]{2}(?:-[a-z]{1,12}){1,3}-\d{1,2}$/,
    'must be a region such as eu-west-1',
  );
  const baseUrl = read.webUrl('AWS_ENDPOINT_URL_SESV2');
  const configurationSet = word(
    'SES_CONFIGURATION_SET',
    /^[\w-]{1,64}$/,
    "must be the name of a configuration set: letters, digits, '_' or '-'",
  );
  if (accessKeyId === null || secretAccessKey === null || region === null) return null;
  const suffix = region.startsWith('cn-') ? '.com.cn' : '.com';
  return {
    credentials: { accessKeyId, secretAccessKey, sessionToken, region },
    baseUrl: baseUrl ?? `https://email.${region}.amazonaws${suffix}`,
    configurationSet,
  };
}
