// A message copied as a new one, with another payload or other recipients if a person gives them.

import type { Database } from '../db/pool.ts';
import type { Executor } from '../db/executor.ts';
import { z } from 'zod';
import { issuesText } from '../define/arguments.ts';
import { endpointOf } from '../define/messages.ts';
import { issuesOf } from '../define/payload.ts';
import { prepareEmail } from '../email/email.ts';
import { WaybillError } from '../errors.ts';
import type { NewMessage } from '../message/message.ts';
import { isSealed, unseal, wasDropped, type PayloadKeys } from '../message/seal.ts';
import { endpointGroup, movedKey, webhookPayload } from '../message/webhook.ts';
import { audited, type Actor } from '../operate/audit.ts';
import { checkNotErased } from '../operate/erase.ts';
import { checkId, notFound, viewMessage, type MessageView } from '../operate/read.ts';
import { announceSql } from '../outbox/notify.ts';
import { createPostgresOutbox } from '../store/postgres.ts';

type Recipients = string | readonly string[];

export type Changes = {
  readonly payload?: unknown;
  /** Of an email: the new recipients; cc and bcc get nothing, unless they are given too. */
  readonly to?: Recipients | undefined;
  readonly cc?: Recipients | undefined;
  readonly bcc?: Recipients | undefined;
  readonly subject?: string | undefined;
  /** Null: made from the html. A new html without a text has that too. */
  readonly text?: string | null | undefined;
  /** Null: none. */
  readonly html?: string | null | undefined;
  /** Default: none. */
  readonly deliveryKey?: string | undefined;
  readonly availableAt?: Date | undefined;
};

/** Whether a payload fits the definition of a message. @throws WaybillError `payload_invalid` */
export type CheckPayload = (
  of: { readonly kind: string; readonly name: string },
  payload: unknown,
) => Promise<void>;

export type CopyPorts = {
  readonly db: Database;
  readonly maxPayloadBytes: number;
  readonly payloadKeys: PayloadKeys;
  /** Of a new payload, where the application is loaded. */
  readonly check?: CheckPayload;
};

type Original = Pick<NewMessage, 'kind' | 'name' | 'queue' | 'payload'> & {
  readonly status: string;
  readonly max_attempts: number;
  readonly priority: number;
  readonly group_key: string | null;
  readonly order_key: string | null;
  readonly order_skips: boolean | null;
  readonly tags: NewMessage['tags'] | null;
  readonly key: string | null;
};

const originalSql = `
  select kind, name, queue, payload, status, max_attempts, priority, group_key, order_key, order_skips, tags, coalesce(delivery_key, shared_key) as key
    from waybill.outbox_messages where id = $1`;

/**
 * Records a message like another: its kind, name, queue, tags, priority, group, order key and number of attempts, without a delivery key unless one is
 * given. A webhook that goes to another endpoint has that one's group, and its order key there. The original is its parent and stays as it is. The payload of a copy is sealed where that of the original is or was.
 * @throws WaybillError `invalid_id`, `not_found`, `message_erased`, `message_dropped`, `not_an_email`, `delivery_key_taken`, the codes of an email or a payload
 */
export async function copy(
  { db, ...ports }: CopyPorts,
  actor: Actor,
  id: string,
  changes: Changes = {},
): Promise<MessageView> {
  checkId(id);
  return audited(db, actor, { act: 'message.copy', target: id, detail: detailOf(changes) }, (tx) =>
    record(tx, id, changes, ports),
  );
}

/** The audit has no content and no address. */
function detailOf({ availableAt, ...changes }: Changes): object {
  const changed = Object.entries(changes).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  return { changed, availableAt: availableAt ?? null };
}

/** A copy to another endpoint is of that one's group, whose circuit it follows. @throws WaybillError `payload_invalid` */
function endpointGroupOf(name: string, payload: unknown): string | undefined {
  const endpoint = endpointOf(name);
  if (endpoint === undefined) return undefined;
  const { data, error } = anyWebhook.safeParse(payload);
  if (data) return endpointGroup(endpoint, data.to);
  const form = '{ "to": the id of the endpoint or null, "body": what is sent }';
  const why = issuesText(issuesOf(error));
  throw new WaybillError('payload_invalid', `the payload of a webhook has the form ${form}: ${why}`);
}

/** Order keys of webhooks count within their endpoint: in another one, the copy would wait for the messages of the first. */
function orderKeyOf({ order_key: key, group_key: from }: Original, to: string | null): string | null {
  return key === null || from === null || to === null || from === to ? key : movedKey(key, from, to);
}

const anyWebhook = webhookPayload(z.unknown());

async function record(
  tx: Executor,
  id: string,
  changes: Changes,
  { maxPayloadBytes, payloadKeys, check }: Omit<CopyPorts, 'db'>,
): Promise<MessageView> {
  const original = (await tx.executeSql<Original>(originalSql, [id])).rows[0] ?? notFound(id);
  await checkNotErased(tx, id);
  const { kind, name, queue, payload: stored, max_attempts: maxAttempts, priority } = original;
  const sealed = isSealed(stored) ? stored : undefined;
  const isDropped = wasDropped(stored, original.status);
  if (isDropped && changes.payload === undefined) throw droppedError(id);
  const of = { id, kind, name, deliveryKey: original.key };
  const content = changes.payload ?? (sealed ? unseal(sealed, of, payloadKeys) : stored);
  const payload = payloadOf(kind, content, changes);
  if (changes.payload !== undefined) await check?.({ kind, name }, payload);
  const group =
    (changes.payload === undefined ? undefined : endpointGroupOf(name, payload)) ?? original.group_key;
  const { deliveryKey } = changes;
  const orderKey = orderKeyOf(original, group);
  const outbox = createPostgresOutbox(tx, { maxPayloadBytes, payloadKeys });
  const { id: copied, duplicate } = await outbox.enqueue({
    kind,
    name,
    queue,
    payload,
    maxAttempts,
    priority,
    parentId: id,
    availableAt: changes.availableAt,
    ...(deliveryKey !== undefined && { deliveryKey }),
    ...(group !== null && { group }),
    ...(orderKey !== null && { orderKey, ...(original.order_skips === true && { onDead: 'skip' as const }) }),
    ...(original.tags && { tags: original.tags }),
    ...((sealed || isDropped) && { sensitive: true, keep: !isDropped && sealed?.$sealed.keep !== false }),
  });
  if (duplicate)
    throw new WaybillError(
      'delivery_key_taken',
      `the message ${copied} has this delivery key: nothing was recorded`,
    );
  await tx.executeSql(announceSql, [copied]);
  return viewMessage(tx, copied);
}

export function droppedError(id: string): WaybillError {
  return new WaybillError(
    'message_dropped',
    `the content of the message ${id} was dropped when it was delivered (keep: false): only a copy with a new payload can be made`,
  );
}

/** An email is checked like one that an application records. */
function payloadOf(kind: string, content: unknown, { to, cc, bcc, subject, text, html }: Changes): unknown {
  const parts = { to, cc, bcc, subject, text, html };
  const given = Object.entries(parts).filter(([, value]) => value !== undefined);
  if (kind !== 'email') {
    if (given.length === 0) return content;
    throw new WaybillError(
      'not_an_email',
      `only an email has ${given[0]![0]}, and this message is of the kind ${kind}`,
    );
  }
  const { date: _, ...email } = content as Record<string, unknown>;
  const dropped = { ...(to !== undefined && { cc: [], bcc: [] }), ...(html && { text: undefined }) };
  const changed = {
    ...email,
    ...dropped,
    ...Object.fromEntries(given.map(([name, value]) => [name, value ?? undefined])),
  };
  return prepareEmail(changed, { defaultFrom: null });
}
