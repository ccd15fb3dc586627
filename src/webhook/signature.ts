// Signatures of incoming and outgoing webhooks, as Standard Webhooks defines them (standardwebhooks.com). Svix signs for other services and uses
// other header names.

import type { IncomingHttpHeaders } from 'node:http';
import { Webhook } from 'standardwebhooks';

/**
 * Returns the id of a webhook that is signed with the secret and not older than five minutes. The id is the same on every attempt.
 * @returns undefined when the signature is not valid
 */
export function verifiedId(body: Buffer, headers: IncomingHttpHeaders, secret: string): string | undefined {
  const prefix = headers['svix-id'] === undefined ? 'webhook' : 'svix';
  const signed = Object.fromEntries(
    ['id', 'timestamp', 'signature'].map((part) => [
      `webhook-${part}`,
      String(headers[`${prefix}-${part}`] ?? ''),
    ]),
  );
  try {
    new Webhook(secret).verify(body, signed, { jsonParse: false });
  } catch {
    return undefined;
  }
  return signed['webhook-id'];
}

/** Returns the headers of an outgoing webhook. @param id the same on every attempt */
export function signedHeaders(id: string, body: string, secret: string, now: Date): Record<string, string> {
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
    'webhook-signature': new Webhook(secret).sign(id, now, body),
  };
}
