// Seals the payload of a sensitive message to its row, before it is recorded. The hashes of an email's recipients go with it, so that a search finds it.

import { createHash } from 'node:crypto';
import { newId } from '../message/id.ts';
import type { CheckedMessage } from '../message/message.ts';
import { seal, type PayloadKeys } from '../message/seal.ts';

export type Recording = { readonly maxBytes: number; readonly keys: PayloadKeys };

/** @throws WaybillError `payload_keys_missing` */
export function sealed(message: CheckedMessage, keys: PayloadKeys): CheckedMessage {
  if (!message.sensitive) return message;
  const { kind, name, deliveryKey, keep, replace, id = newId() } = message;
  const isReplaced = replace !== undefined;
  const recipients = kind === 'email' ? recipientsOf(JSON.parse(message.json)) : undefined;
  const json = seal(message.json, { id, kind, name, deliveryKey }, keys, { isReplaced, keep, recipients });
  return { ...message, id, json };
}

/** SHA-256 of each recipient's address in hex, by the rules of waybill.email_hash. */
function recipientsOf(payload: unknown): string[] {
  if (typeof payload !== 'object' || payload === null) return [];
  const { to, cc, bcc, recipients } = payload as Readonly<Record<string, unknown>>;
  return [to, cc, bcc, recipients]
    .flat()
    .map((one) =>
      typeof one === 'object' && one !== null ? (one as { readonly address?: unknown }).address : one,
    )
    .filter((one) => typeof one === 'string')
    .map((one) => (/<([^<>]*)>\s*$/.exec(one)?.[1] ?? one).trim().toLowerCase())
    .map((address) => createHash('sha256').update(address).digest('hex'));
}
