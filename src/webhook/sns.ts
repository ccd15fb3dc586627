// Reads what Amazon SNS posts to a subscribed address, and believes what Amazon signed for one topic
// (docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html).

import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { WaybillError } from '../errors.ts';
import type { Milliseconds } from '../ports.ts';
import { createSnsKeys } from './sns-keys.ts';

export type SnsTopic = {
  /** Its Amazon Resource Name: arn:aws:sns:REGION:ACCOUNT:NAME. */
  readonly arn: string;
  /** Where Amazon SNS is, without a trailing slash. Certificates come from there alone, and confirmations go there alone. */
  readonly baseUrl: string;
};

const post = z.object({
  Type: z.enum(['Notification', 'SubscriptionConfirmation', 'UnsubscribeConfirmation']),
  MessageId: z.string().regex(/^[\x21-\x7e]{1,100}$/),
  TopicArn: z.string(),
  Subject: z.string().nullish(),
  Message: z.string(),
  Timestamp: z.iso.datetime(),
  Token: z.string().optional(),
  SubscribeURL: z.string().optional(),
  SignatureVersion: z.enum(['1', '2']),
  Signature: z.base64(),
  SigningCertURL: z.string(),
});
export type SnsPost = z.output<typeof post>;

export type SnsReader = {
  /**
   * @returns undefined: it does not prove that Amazon sent it for the topic
   * @throws WaybillError `webhook_sender_unreachable` when Amazon's certificate cannot be read at present
   */
  read(body: string, now: Milliseconds): Promise<SnsPost | undefined>;
  /**
   * Confirms a subscription, so that notifications follow.
   * @throws WaybillError `webhook_sender_unreachable`
   */
  confirm(post: SnsPost): Promise<void>;
};

/** How much older or younger than now a post may be. Amazon repeats one for an hour at most. */
const window: Milliseconds = 2 * 3_600_000;
const timeout: Milliseconds = 5_000;

const signedOf = {
  Notification: ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type'],
  SubscriptionConfirmation: ['Message', 'MessageId', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type'],
  UnsubscribeConfirmation: ['Message', 'MessageId', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type'],
} as const; // prettier-ignore

/** The text that Amazon signs: name and value of each field on lines of their own. */
export const signedText = (said: Omit<SnsPost, 'Signature'>): string =>
  signedOf[said.Type]
    .flatMap((field) => (said[field] === undefined || said[field] === null ? [] : `${field}\n${said[field]}\n`))
    .join(''); // prettier-ignore

/** Where SNS of the topic's region is. China has a domain of its own. */
export function snsUrlOf(arn: string): string {
  const [, partition, , region] = arn.split(':');
  return `https://sns.${region}.amazonaws.com${partition === 'aws-cn' ? '.cn' : ''}`;
}

/** Version 1 is the default of a topic. */
const algorithms = { 1: 'sha1', 2: 'sha256' } as const;

const certificatePath = /^\/(?:_aws\/sns\/)?SimpleNotificationService-[0-9a-f]{1,64}\.pem$/;

export function createSnsReader({ arn, baseUrl }: SnsTopic): SnsReader {
  const keys = createSnsKeys(async (url) => {
    const { status, text } = await ask(url);
    return status === 200 ? keyOf(text) : undefined;
  });
  const { origin } = new URL(baseUrl);

  /** The address as a URL without a user, if it leads to SNS. */
  const urlOfSns = (text: string | undefined, path: RegExp): URL | undefined => {
    const url = URL.parse(text ?? '');
    const isPlain = url?.origin === origin && url.username === '' && url.password === '' && url.hash === '';
    return url && isPlain && path.test(url.pathname) ? url : undefined;
  };

  return {
    async read(body, now) {
      const said = postOf(body);
      if (!said || said.TopicArn !== arn || Math.abs(Date.parse(said.Timestamp) - now) > window)
        return undefined;
      const url = urlOfSns(said.SigningCertURL, certificatePath);
      if (!url || url.href.includes('?')) return undefined;
      const key = await keys.at(url.href, now);
      const signature = Buffer.from(said.Signature, 'base64');
      const isSigned =
        key && verify(algorithms[said.SignatureVersion], Buffer.from(signedText(said)), key, signature);
      if (!isSigned) return undefined;
      keys.keep(url.href, key);
      return said;
    },
    async confirm({ SubscribeURL }) {
      const url = urlOfSns(SubscribeURL, /^\/$/);
      if (!url) throw new WaybillError('webhook_invalid', 'SubscribeURL leads elsewhere');
      const { status } = await ask(url.href);
      if (status !== 200) throw unreachable(`it answered ${status} to the confirmation of the subscription`);
    },
  };
}

function postOf(body: string): SnsPost | undefined {
  try {
    return post.safeParse(JSON.parse(body)).data;
  } catch {
    return undefined; // no JSON has no signature
  }
}

/** The key of a certificate; undefined: it is none. */
function keyOf(certificate: string): KeyObject | undefined {
  try {
    return createPublicKey(certificate);
  } catch {
    return undefined;
  }
}

/** @throws WaybillError `webhook_sender_unreachable` for 5xx, too */
async function ask(url: string): Promise<{ readonly status: number; readonly text: string }> {
  try {
    const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(timeout) });
    const { status } = response;
    const text = await response.text();
    if (status < 500) return { status, text };
  } catch (error) {
    throw unreachable(error instanceof Error ? error.name : 'no answer');
  }
  throw unreachable('it fails at present');
}

const unreachable = (why: string): WaybillError =>
  new WaybillError('webhook_sender_unreachable', `Amazon SNS cannot be asked: ${why}; it will post again`);
