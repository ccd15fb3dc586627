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

/**
 * Returns the headers of an outgoing webhook. With several secrets it has a signature by each: a receiver that knows one of them accepts it, so a
 * secret can be rotated without a gap.
 * @param id the same on every attempt
 */
export function signedHeaders(
  id: string,
  body: string,
  secrets: readonly string[],
  now: Date,
): Record<string, string> {
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
    'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(id, now, body)).join(' '),
  };
}

/** Bytes of a secret, by the specification ("between 24 bytes and 64 bytes"). */
const secretBytes = { least: 24, most: 64 };

/** Rotation needs two. Each more is one more header value of 47 characters. */
export const mostSecrets = 10;

/** What is wrong with the secrets of an endpoint; undefined: nothing. The text never repeats one. */
export function secretsProblem(secrets: unknown): string | undefined {
  if (!Array.isArray(secrets) || secrets.length === 0)
    return 'secrets must be a list with at least one secret: whsec_ and 24 to 64 bytes in base64';
  if (secrets.length > mostSecrets)
    return `there are ${secrets.length} secrets; at most ${mostSecrets} may sign`;
  const bad = secrets.findIndex((secret) => !isSecret(secret));
  if (bad >= 0) return `secrets[${bad}] must be whsec_ and 24 to 64 bytes in base64`;
  return new Set(secrets).size < secrets.length ? 'the same secret is there twice' : undefined;
}

function isSecret(secret: unknown): boolean {
  if (typeof secret !== 'string') return false;
  const [, base64] =
    /^whsec_((?:[A-Za-z0-9+/]{4}){1,30}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$/.exec(secret) ?? [];
  if (base64 === undefined) return false;
  const { length } = Buffer.from(base64, 'base64');
  return length >= secretBytes.least && length <= secretBytes.most;
}
