// Ends a running attempt: its worker loses the claim, and a person decides what becomes of the message (invariant C).

import type { Executor } from '../db/executor.ts';
import { endMessages, guard, transitions } from '../message/transitions.ts';
import { announceSql, workerChannel } from '../outbox/notify.ts';
import { cleanError } from '../redaction/redact.ts';
import { checkId, viewMessage, type MessageView } from './read.ts';
import { refuse } from './refusal.ts';

/** What becomes of a message whose attempt is ended. */
export const endings = ['dead', 'cancel', 'retry'] as const;
export type Ending = (typeof endings)[number];

/** The counter does not grow without bound: beyond so many queues they are counted together, as in src/metrics/events.ts. */
const mostQueues = 100;
const dead = `'waybill_dead_letters_total'`;

/**
 * A death by hand is counted here, whoever ends it: the command line has no metrics of its own, and a worker never learns of it. Rows of `ended`.
 */
const countDead = `
  insert into waybill.counters (name, labels, value)
  select ${dead}, jsonb_build_object('kind', kind, 'queue', case when exists (
             select from waybill.counters c where c.name = ${dead} and c.labels ->> 'queue' = queue)
           or (select count(distinct c.labels ->> 'queue') from waybill.counters c where c.name = ${dead}) < ${mostQueues} then queue else 'other' end,
         'cause', 'ended'), 1
    from ended where status = 'dead'
  on conflict (name, labels) do update set value = waybill.counters.value + 1`;

/**
 * Values: id, the status that it shall have (`pending`: it is retried), the error. The NOTIFY aborts the attempt at once; without it, the worker finds the loss when it next renews its
 * leases.
 */
export const endSql = `
  with held as (
    select id, attempts, claimed_at, claimed_by from waybill.outbox_messages where id = $1 and ${guard('end')} for update),
  ${endMessages(
    transitions.end.set({ then: '$2::text', error: '$3::text' }),
    `from held h where m.id = $1 and m.id = h.id`,
    `case status when 'dead' then 'dead' when 'cancelled' then 'cancelled' else 'released' end`,
    'm.status',
  )},
  counted as (${countDead}),
  tried as (
    insert into waybill.outbox_attempts (message_id, attempt, started_at, worker, outcome, error)
    select h.id, h.attempts, h.claimed_at, h.claimed_by, 'ended', $3::text from held h join ended e on e.id = h.id)
  select id::text as id, pg_notify('${workerChannel}', 'end ' || id) from ended`;

const statusOf = { dead: 'dead', cancel: 'cancelled', retry: 'pending' } as const;

/**
 * Takes the claim of a message that is being delivered. The attempt is aborted; whatever it returns or commits later is refused. It may have had effects
 * outside of Postgres.
 * @param tx a transaction
 * @param then `dead`; `cancel`; `retry`: due again at once, and the attempt does not count
 * @throws WaybillError `invalid_id`, `not_found`, `state_conflict`
 */
export async function endAttempt(
  tx: Executor,
  id: string,
  then: Ending,
  { by, reason }: { readonly by: string; readonly reason: string | null },
): Promise<MessageView> {
  checkId(id);
  const error = cleanError(`ended by ${by}${reason === null ? '' : `: ${reason}`}`);
  const { rows } = await tx.executeSql(endSql, [id, statusOf[then], error]);
  if (rows.length === 0) return refuse(tx, 'end', id);
  await tx.executeSql(announceSql, [id]);
  return viewMessage(tx, id);
}
