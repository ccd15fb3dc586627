// Delivers one message now, although its queue or its group is paused, or a parked email provider may have it. Limits and order keys hold.

import type { Executor } from '../db/executor.ts';
import { WaybillError } from '../errors.ts';
import type { Status } from '../message/message.ts';
import { announceSql, outboxChannel } from '../outbox/notify.ts';
import { isGroupClosed, isHeld, isPaused } from '../outbox/waiting.ts';
import { checkId, notFound, viewMessage, type MessageView } from './read.ts';
import { dueValues, rescheduleSql } from './reschedule.ts';

type Look = {
  readonly status: Status;
  readonly queue: string;
  readonly isBehind: boolean;
  readonly isHeldBack: boolean;
  readonly isSuspect: boolean;
  readonly isPaused: boolean;
  readonly isClosed: boolean;
};

const lookSql = `
  select m.status, m.queue, m.available_at = 'infinity' as "isBehind", m.relayed_at is not null as "isHeldBack", m.expirations > 1 as "isSuspect",
         exists (select from waybill.queues q where q.name = m.queue and ${isPaused('q.')})
         or exists (select from waybill.queue_groups g where g.queue = m.queue and g.group_key = m.group_key and ${isGroupClosed('g.')}) as "isPaused",
         exists (select from waybill.queues where name = m.queue and (parked_at is not null or ${isHeld})) as "isClosed"
    from waybill.outbox_messages m where m.id = $1 for update of m`;

/** A list of messages for a whole queue is what resuming it is for. */
const mostNamed = 1_000;

/** Values: queue, message. No row: the list is full. The NOTIFY makes workers look at once. */
export const nameSql = `
  with named as (
    insert into waybill.queues as q (name, run_messages) values ($1, array[$2::uuid])
    on conflict (name) do update set run_messages = array_append(array_remove(q.run_messages, $2::uuid), $2::uuid)
     where cardinality(q.run_messages) < ${mostNamed}
    returning name)
  select pg_notify('${outboxChannel}', name) from named`;

/**
 * A person decides that another provider may send an email, too: one that waits for its provider, or will when it is due. One without a handover may
 * be from before the list (src/email/handovers.ts). Values: message.
 */
export const freeOfProviderSql = `
  insert into waybill.email_handovers as h (message_id, provider)
  select m.id, null from waybill.outbox_messages m
   where m.id = $1 and m.kind = 'email' and exists (select from waybill.email_providers p where p.parked_at is not null)
  on conflict (message_id) do update set provider = null, waits_since = null
   where h.waits_since is not null
      or exists (select from waybill.email_providers p where p.name = h.provider and p.parked_at is not null)`;

/**
 * Makes a waiting message due now. In a paused queue or group, a worker of the fleet also takes it through the pause, for one attempt: after a failure it
 * waits for the end of the pause like the others. An email that waits for a parked provider goes by another one, so it may arrive twice.
 * @param tx a transaction
 * @param queue if given, the message must be in it
 * @throws WaybillError `invalid_id`, `not_found`, `other_queue`, `state_conflict`, `cannot_run_now`
 */
export async function runMessage(tx: Executor, id: string, queue?: string): Promise<MessageView> {
  checkId(id);
  const look = (await tx.executeSql<Look>(lookSql, [id])).rows[0] ?? notFound(id);
  if (queue !== undefined && look.queue !== queue)
    throw new WaybillError(
      'other_queue',
      `the message ${id} is in the queue ${look.queue}, not in ${JSON.stringify(queue.slice(0, 80))}`,
    );
  if (look.status !== 'pending' && look.status !== 'failed')
    throw new WaybillError(
      'state_conflict',
      `the message ${id} is ${look.status}: run is not possible in this state`,
    );
  const why = obstacleOf(look);
  if (why !== undefined) throw new WaybillError('cannot_run_now', `the message ${id} cannot run now: ${why}`);
  await tx.executeSql(freeOfProviderSql, [id]);
  await tx.executeSql(rescheduleSql, [id, ...dueValues({ inMs: 0 })]);
  if (!look.isPaused) await tx.executeSql(announceSql, [id]);
  else if ((await tx.executeSql(nameSql, [look.queue, id])).rows.length === 0)
    throw new WaybillError(
      'cannot_run_now',
      `${mostNamed} messages of the queue ${look.queue} are named already: resume the queue`,
    );
  return viewMessage(tx, id);
}

function obstacleOf({ queue, isBehind, isHeldBack, isSuspect, isClosed }: Look): string | undefined {
  if (isBehind)
    return 'another message of its order key comes first; `waybill queues blocked` names a dead one';
  if (isHeldBack) return 'an older message with its delivery key has not ended';
  if (isClosed)
    return `the queue ${queue} is parked or held, because its provider fails: it would fail, too. Resume the queue to try`;
  if (isSuspect) return 'its leases expired, so it runs alone, and only in an open queue: resume the queue';
  return undefined;
}
