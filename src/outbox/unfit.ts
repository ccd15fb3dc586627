// Rows that break the rules of a message (sql/0001_messages.sql): somebody wrote them past the trigger, or an older deploy did. Each ends `dead` with
// the rule as its reason, so that it concerns nobody but itself. They are looked for where a step failed on its data, or met one.

import { sqlState } from '../db/diagnosis.ts';
import type { Executor } from '../db/executor.ts';
import { inFlight } from './lapsed.ts';
import { enter } from './ledger.ts';
import type { Expired } from './port.ts';
import { guard } from './transitions.ts';

const waiting = `relayed_at is null and cancelled_at is null and delivered_at is null and dead_at is null`;
const flaw = `waybill.outbox_flaw(m)`;

/** Not what a worker holds under a lease: its token decides, and the sweep takes the row over when the lease is over. */
const unheld = `not (${guard('expire', 'm.status')} and claimed_until between now() and now() + interval '1 day')`;

/** What is left satisfies the rules in all that the engine computes with; kind, name and queue stay as they are, for whoever looks. */
const ended = `
  update waybill.outbox_messages m
     set status = 'dead', dead_at = now(), delivered_at = null, cancelled_at = null, counted = true,
         claim_token = null, claimed_by = null, claimed_at = null, claimed_until = null, prefetched = null,
         relayed_at = case when isfinite(m.relayed_at) then m.relayed_at else now() end,
         available_at = case when isfinite(m.available_at) then m.available_at else now() end,
         created_at = case when isfinite(m.created_at) then m.created_at else now() end,
         max_attempts = least(greatest(m.max_attempts, 1), 1000),
         attempts = least(greatest(m.attempts, 0), greatest(m.max_attempts, 1), 1000),
         expirations = least(greatest(m.expirations, 0), 1000000),
         revision = case when m.revision between 0 and 1000000000 then m.revision + 1 else 0 end,
         dead_cause = 'permanent', last_error = ${flaw}
   where m.id = any(array(select id from unfit))
  returning id, kind, name, queue, 'dead' as status, attempts, max_attempts as "maxAttempts", delivery_key as "deliveryKey",
    request_id as "requestId", traceparent, last_error as error`;

const columns = 'm.id, m.kind, m.counted';

/** Limit. It reads all that waits, so it is for those alone whose step has failed. */
export const endUnfitSql = `
  with waits as (
    select ${columns} from waybill.outbox_messages m where ${waiting} and ${unheld} and ${flaw} is not null limit $1 for update skip locked),
  handed as (
    select ${columns} from waybill.outbox_messages m where ${inFlight} and ${unheld} and ${flaw} is not null limit $1 for update skip locked),
  unfit as (select * from waits union all select * from handed),${enter('unfit')}${ended}`;

/** Ids. */
export const endUnfitIdsSql = `
  with unfit as (
    select ${columns} from waybill.outbox_messages m
     where m.id = any($1::uuid[]) and delivered_at is null and dead_at is null and cancelled_at is null
       and ${unheld} and ${flaw} is not null for update skip locked),${enter('unfit')}${ended}`;

const limit = 500;

export async function endUnfit(db: Executor): Promise<Expired[]> {
  return (await db.executeSql<Expired>(endUnfitSql, [limit])).rows;
}

export async function endUnfitIds(db: Executor, ids: readonly string[]): Promise<Expired[]> {
  return (await db.executeSql<Expired>(endUnfitIdsSql, [ids])).rows;
}

/** In a transaction that has failed nothing more can be asked. */
const inFailed = '25P02';

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
      if (!/^2[23]/.test(sqlState(error) ?? '')) throw error;
      const found = await endUnfit(db).catch((other: unknown) => {
        throw sqlState(other) === inFailed ? error : other; // there the step's error is the one that tells why
      });
      if (found.length === 0) throw error;
      told(found);
    }
  }
}
