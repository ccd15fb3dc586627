// A message copied as a new one, with another payload or other recipients if a person gives them.

import type { Database } from '../db/pool.ts';
import type { Executor } from '../db/executor.ts';
import { prepareEmail } from '../email/email.ts';
import { WaybillError } from '../errors.ts';
import type { NewMessage } from '../message/message.ts';
import { isSealed, unseal, type PayloadKeys } from '../message/seal.ts';
import { audited, type Actor } from '../operate/audit.ts';
import { checkNotErased } from '../operate/erase.ts';
import { checkId, notFound, viewMessage, type MessageView } from '../operate/read.ts';
import { announceSql } from '../outbox/notify.ts';
import { createPostgresOutbox } from '../store/postgres.ts';

export type Changes = {
  readonly payload?: unknown;
  /** Of an email: the new recipients; cc and bcc get nothing. */
  readonly to?: string | readonly string[] | undefined;
  readonly availableAt?: Date | undefined;
};

export type CopyPorts = {
  readonly db: Database;
  readonly maxPayloadBytes: number;
  readonly payloadKeys: PayloadKeys;
};

type Original = Pick<NewMessage, 'kind' | 'name' | 'queue' | 'payload'> & {
  readonly max_attempts: number;
  readonly priority: number;
  readonly group_key: string | null;
  readonly order_key: string | null;
  readonly order_skips: boolean | null;
  readonly tags: NewMessage['tags'] | null;
  readonly key: string | null;
};

const originalSql = `
  select kind, name, queue, payload, max_attempts, priority, group_key, order_key, order_skips, tags, coalesce(delivery_key, shared_key) as key
    from waybill.outbox_messages where id = $1`;

/**
 * Records a message like another: its kind, name, queue, tags, priority, group, order key and number of attempts, without a delivery key. The original is
 * its parent and stays as it is.
 * @throws WaybillError `invalid_id`, `not_found`, `message_erased`, `not_an_email`, the codes of an email or a payload
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
function detailOf({ payload, to, availableAt }: Changes): object {
  return { payload: payload !== undefined, to: to !== undefined, availableAt: availableAt ?? null };
}

async function record(
  tx: Executor,
  id: string,
  changes: Changes,
  { maxPayloadBytes, payloadKeys }: Omit<CopyPorts, 'db'>,
): Promise<MessageView> {
  const original = (await tx.executeSql<Original>(originalSql, [id])).rows[0] ?? notFound(id);
  if (changes.payload === undefined) await checkNotErased(tx, id);
  const { kind, name, queue, payload: stored, max_attempts: maxAttempts, priority } = original;
  const { group_key: group, order_key: orderKey, order_skips: skips } = original;
  const sealed = isSealed(stored) ? stored : undefined;
  const of = { id, kind, name, deliveryKey: original.key };
  const content = changes.payload ?? (sealed ? unseal(sealed, of, payloadKeys) : stored);
  const outbox = createPostgresOutbox(tx, { maxPayloadBytes, payloadKeys });
  const { id: copied } = await outbox.enqueue({
    kind,
    name,
    queue,
    payload: payloadOf(kind, content, changes.to),
    maxAttempts,
    priority,
    parentId: id,
    availableAt: changes.availableAt,
    ...(group !== null && { group }),
    ...(orderKey !== null && { orderKey, ...(skips === true && { onDead: 'skip' as const }) }),
    ...(original.tags && { tags: original.tags }),
    ...(sealed && { sensitive: true, keep: sealed.$sealed.keep !== false }),
  });
  await tx.executeSql(announceSql, [copied]);
  return viewMessage(tx, copied);
}

/** An email is checked like one that an application records. */
function payloadOf(kind: string, content: unknown, to: Changes['to']): unknown {
  if (kind !== 'email') {
    if (to === undefined) return content;
    throw new WaybillError(
      'not_an_email',
      `only an email has recipients, and this message is of the kind ${kind}`,
    );
  }
  const { date: _, ...email } = content as Record<string, unknown>;
  return prepareEmail(to === undefined ? email : { ...email, to, cc: undefined, bcc: undefined }, {
    defaultFrom: null,
  });
}
