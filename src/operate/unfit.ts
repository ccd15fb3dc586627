// Ends rows that break the rules of a message (sql/0001_messages.sql). They were written past the trigger, by hand or by an older release.
// Each ends `dead` with the rule as its reason, and affects no other message. The search runs where a step failed on its data or met one.

import { sqlState } from '../db/diagnosis.ts';
import type { Executor } from '../db/executor.ts';
import type { Expired } from '../outbox/port.ts';
import { endMessages, guard, transitions } from '../message/transitions.ts';
import { inFlight, waits, type Place } from '../outbox/waiting.ts';

const flaw = `waybill.outbox_flaw(m)`;

/** Excludes rows under a valid lease: the claim token decides about these, and the sweep ends the lease when it expires. */
const unheld = `not (${guard('expire', 'm.status')} and claimed_until between now() and now() + interval '1 day')`;

const ended = `
  ${endMessages(
    transitions.discard.set({ error: flaw }),
    'where m.id = any(array(select id from unfit))',
    `'discarded'`,
    'm.name, m.attempts, m.max_attempts, m.delivery_key, m.request_id, m.traceparent, m.last_error',
  )}
  select id, kind, name, queue, 'dead' as status, attempts, max_attempts as "maxAttempts", delivery_key as "deliveryKey",
    request_id as "requestId", traceparent, last_error as error from ended`;

/** Values: limit. It reads all waiting rows, so only a failed step may run it. */
export const endUnfitSql = `
  with waits as (
    select m.id from waybill.outbox_messages m where ${waits('m.')} and ${unheld} and ${flaw} is not null limit $1 for update skip locked),
  handed as (
    select m.id from waybill.outbox_messages m where ${inFlight('m.')} and ${unheld} and ${flaw} is not null limit $1 for update skip locked),
  unfit as (select id from waits union all select id from handed),${ended}`;

/** Values: ids. */
export const endUnfitIdsSql = `
  with unfit as (
    select m.id from waybill.outbox_messages m
     where m.id = any($1::uuid[]) and delivered_at is null and dead_at is null and cancelled_at is null
       and ${unheld} and ${flaw} is not null for update skip locked),${ended}`;

const limit = 500;

export async function endUnfit(db: Executor): Promise<Expired[]> {
  return (await db.executeSql<Expired>(endUnfitSql, [limit])).rows;
}

/** Ids of the messages that wait at a place. */
export const waitingAtSql = `
  select id from waybill.outbox_messages where ${waits()} and queue = $1 and priority = $2 order by group_key, available_at limit $3`;

/** Ends the messages that wait in a queue whose name breaks the rules. */
export async function endUnfitAt(db: Executor, { queue, priority }: Place): Promise<Expired[]> {
  const { rows } = await db.executeSql<{ id: string }>(waitingAtSql, [queue, priority, limit]);
  const ids = rows.map(({ id }) => id);
  return endUnfitIds(db, ids);
}

export async function endUnfitIds(db: Executor, ids: readonly string[]): Promise<Expired[]> {
  return (await db.executeSql<Expired>(endUnfitIdsSql, [ids])).rows;
}

/** SQLSTATE of a statement in a failed transaction. */
const inFailed = '25P02';

/** Whether a statement failed on its data, so a row may break the rules. */
export const isOfData = (error: unknown): boolean => /^2[23]/.test(sqlState(error) ?? '');

/** Runs the step. When it fails on its data, ends the rows that break the rules, reports them and repeats the step; other errors are thrown. */
export async function withoutUnfit<T>(
  db: Executor,
  told: (ended: readonly Expired[]) => void,
  step: () => Promise<T>,
): Promise<T> {
  for (;;) {
    try {
      return await step();
    } catch (error) {
      if (!isOfData(error)) throw error;
      const found = await endUnfit(db).catch((other: unknown) => {
        throw sqlState(other) === inFailed ? error : other; // in a failed transaction the step's error is the cause
      });
      if (found.length === 0) throw error;
      told(found);
    }
  }
}
