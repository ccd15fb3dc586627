// Rows that break the rules of a message (sql/0001_messages.sql): somebody wrote them past the trigger, or an older deploy did. Each ends `dead` with
// the rule as its reason, so that it concerns nobody but itself. They are looked for where a step failed on its data, or met one.

import { sqlState } from '../db/diagnosis.ts';
import type { Executor } from '../db/executor.ts';
import type { Expired } from '../outbox/port.ts';
import { endMessages, guard, transitions } from '../message/transitions.ts';
import { inFlight, waits, type Place } from '../outbox/waiting.ts';

const flaw = `waybill.outbox_flaw(m)`;

/** Not what a worker holds under a lease: its token decides, and the sweep takes the row over when the lease is over. */
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

/** Limit. It reads all that waits, so it is for those alone whose step has failed. */
export const endUnfitSql = `
  with waits as (
    select m.id from waybill.outbox_messages m where ${waits('m.')} and ${unheld} and ${flaw} is not null limit $1 for update skip locked),
  handed as (
    select m.id from waybill.outbox_messages m where ${inFlight('m.')} and ${unheld} and ${flaw} is not null limit $1 for update skip locked),
  unfit as (select id from waits union all select id from handed),${ended}`;

/** Ids. */
export const endUnfitIdsSql = `
  with unfit as (
    select m.id from waybill.outbox_messages m
     where m.id = any($1::uuid[]) and delivered_at is null and dead_at is null and cancelled_at is null
       and ${unheld} and ${flaw} is not null for update skip locked),${ended}`;

const limit = 500;

export async function endUnfit(db: Executor): Promise<Expired[]> {
  return (await db.executeSql<Expired>(endUnfitSql, [limit])).rows;
}

/** A place whose queue no worker can have, and what waits there: ids. */
export const waitingAtSql = `
  select id from waybill.outbox_messages where ${waits()} and queue = $1 and priority = $2 order by available_at limit $3`;

/** Ends what waits at a place whose queue breaks the rules. */
export async function endUnfitAt(db: Executor, { queue, priority }: Place): Promise<Expired[]> {
  const { rows } = await db.executeSql<{ id: string }>(waitingAtSql, [queue, priority, limit]);
  return endUnfitIds(
    db,
    rows.map(({ id }) => id),
  );
}

export async function endUnfitIds(db: Executor, ids: readonly string[]): Promise<Expired[]> {
  return (await db.executeSql<Expired>(endUnfitIdsSql, [ids])).rows;
}

/** In a transaction that has failed nothing more can be asked. */
const inFailed = '25P02';

/** A statement failed on its data: a row may break the rules. */
export const isOfData = (error: unknown): boolean => /^2[23]/.test(sqlState(error) ?? '');

/** Runs the step. When it fails on its data, rows that break the rules are ended and told, and it runs again; otherwise its error stands. */
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
        throw sqlState(other) === inFailed ? error : other; // there the step's error is the one that tells why
      });
      if (found.length === 0) throw error;
      told(found);
    }
  }
}
