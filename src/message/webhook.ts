// A webhook as it is stored: its payload, its endpoint as a group of the queue, and its keys, which count within the endpoint.

import { z } from 'zod';
import { isFlowKey } from './flow.ts';

/** What a header can carry as it was signed: other characters are refused by Node, or go out in another encoding. */
const headerText = /^[\x21-\x7e]{1,64}$/;

/** `to`: id of the endpoint; null where its definition has a url of its own. `id`: the webhook id, where it is not that of the message. `replayOf`: the delivered message that a replay copied. */
export const webhookPayload = <S extends z.ZodType>(body: S) =>
  z.object({
    to: z.string().nullable(),
    body,
    id: z.string().regex(headerText, 'must be 1 to 64 characters from ! to ~').optional(),
    replayOf: z.string().optional(),
  });

export type WebhookPayload = z.output<ReturnType<typeof webhookPayload<z.ZodUnknown>>>;

/** @param endpoint name of the definition */
export const endpointGroup = (endpoint: string, id: string | null): string =>
  id === null ? endpoint : `${endpoint}:${id}`;

/** The opposite of `endpointGroup`: a name has no colon. */
export function readEndpointGroup(group: string): { readonly endpoint: string; readonly id: string | null } {
  const [endpoint] = group.split(':', 1) as [string];
  return { endpoint, id: endpoint === group ? null : group.slice(endpoint.length + 1) };
}

/** A key within an endpoint. The first '/' ends the id, or `a` with the key `b/c` would meet `a/b` with the key `c`. */
export const keyWithin = (id: string, key: string): string =>
  `${id.replaceAll('%', '%25').replaceAll('/', '%2F')}/${key}`;

/** The key within another endpoint. Null: it has none there. @param from the group in which it is `key` */
export function movedKey(key: string, from: string, to: string): string | null {
  const [old, now] = [readEndpointGroup(from).id, readEndpointGroup(to).id];
  const before = old === null ? '' : keyWithin(old, '');
  if (now === null || !key.startsWith(before)) return null;
  const moved = keyWithin(now, key.slice(before.length));
  return isFlowKey(moved) ? moved : null;
}
