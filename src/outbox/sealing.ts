// Seals the payload of a sensitive message to its row, before it is recorded.

import { newId } from '../message/id.ts';
import type { CheckedMessage } from '../message/message.ts';
import { seal, type PayloadKeys } from '../message/seal.ts';

export type Recording = { readonly maxBytes: number; readonly keys: PayloadKeys };

/** @throws WaybillError `payload_keys_missing` */
export function sealed(message: CheckedMessage, keys: PayloadKeys): CheckedMessage {
  if (!message.sensitive) return message;
  const { kind, name, deliveryKey, keep, replace, id = newId() } = message;
  const isReplaced = replace !== undefined;
  const json = seal(message.json, { id, kind, name, deliveryKey }, keys, { isReplaced, keep });
  return { ...message, id, json };
}
