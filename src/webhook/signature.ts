// Signatures of webhooks, as Standard Webhooks has them (standardwebhooks.com), for those that come in and those that go out. Svix, which
// signs for others, names the headers otherwise.

import type { IncomingHttpHeaders } from 'node:http';
import { Webhook } from 'standardwebhooks';

/**
 * The id of a webhook that is signed with the secret and not older than five minutes; the same when it is told again.
 * @returns undefined when it is not to be believed
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

/** The headers of a webhook that goes out. @param id the same on every attempt */
export function signedHeaders(id: string, body: string, secret: string, now: Date): Record<string, string> {
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
    'webhook-signature': new Webhook(secret).sign(id, now, body),
  };
}
