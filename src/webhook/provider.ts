// Whether a request comes from the email provider that it claims to come from, as Postmark, SendGrid and Mailgun prove it.

import { createHmac, createPublicKey, timingSafeEqual, verify } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Milliseconds } from '../ports.ts';

/** How much older or younger than now a signed request may be. */
const window: Milliseconds = 15 * 60_000;

function isRecent(seconds: string, now: Milliseconds): boolean {
  return /^\d{1,12}$/.test(seconds) && Math.abs(Number(seconds) * 1_000 - now) <= window;
}

/** In constant time; the digests have one length whatever the texts have. */
function isSame(one: string, other: string): boolean {
  const digest = (text: string) => createHmac('sha256', 'length').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}

/**
 * Postmark signs nothing; it sends the user and the password of the webhook's URL.
 * @param credentials user:password
 */
export function isFromPostmark({ authorization = '' }: IncomingHttpHeaders, credentials: string): boolean {
  return isSame(authorization, `Basic ${Buffer.from(credentials).toString('base64')}`);
}

/**
 * ECDSA over the time and the body (twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features).
 * @param publicKey the verification key of the webhook, in base64
 */
export function isFromSendgrid(
  body: Buffer,
  headers: IncomingHttpHeaders,
  publicKey: string,
  now: Milliseconds,
): boolean {
  const [time, signature] = ['timestamp', 'signature'].map((part) =>
    String(headers[`x-twilio-email-event-webhook-${part}`] ?? ''),
  );
  if (!isRecent(time!, now)) return false;
  const key = createPublicKey({ key: Buffer.from(publicKey, 'base64'), format: 'der', type: 'spki' });
  return verify('sha256', Buffer.concat([Buffer.from(time!), body]), key, Buffer.from(signature!, 'base64'));
}

/** What Mailgun puts beside its event. */
export type MailgunSignature = {
  readonly timestamp: string;
  readonly token: string;
  readonly signature: string;
};

/**
 * HMAC over the time and a token (documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks). It does not cover the
 * event itself, so the route must be reached over TLS.
 */
export function isFromMailgun(
  { timestamp, token, signature }: MailgunSignature,
  signingKey: string,
  now: Milliseconds,
): boolean {
  const expected = createHmac('sha256', signingKey)
    .update(timestamp + token)
    .digest('hex');
  return isRecent(timestamp, now) && isSame(expected, signature);
}
