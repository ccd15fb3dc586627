// The gate of a queue, as the statements of relay and claim ask for it. Closed means paused by a person, parked by an operator failure,
// or held for a time that the far side named; through a parked queue's gate goes its probe alone. The table has a row for each queue,
// so that asking costs microseconds and no round trip, and a change holds from the next claim on.

import type { Executor } from '../db/executor.ts';
import { guard } from './transitions.ts';

const held = 'held_until > now()';

/** Condition on a row of waybill.queues. */
export const isClosed = `(paused_at is not null or parked_at is not null or ${held})`;

/** Parked and nothing else: it may be probed. */
export const isParkedOnly = `parked_at is not null and paused_at is null and (${held}) is not true`;

const closedQueues = `array(select name from waybill.queues where ${isClosed})`;

/** Array of message ids; also those whose right has run out while a worker has them. */
export const probes = `array(select probe_message from waybill.queues where parked_at is not null and probe_message is not null)`;

const probesThatMayGo = `array(select probe_message from waybill.queues where ${isParkedOnly} and probe_until > now())`;

/** The relay leaves what is in a closed queue where it is. */
export const isOpen = (queue: string): string => `${queue} <> all(${closedQueues})`;

/**
 * The same for one queue that a parameter names. It goes through the primary key: where sequential scans are disabled, one that has no alternative
 * adds 1e10 to the cost of its plan before Postgres 18, and with `jit = on` the plan is compiled at each execution (1 s instead of 1 ms).
 */
export const isOpenAlone = (parameter: string): string =>
  `not exists (select from waybill.queues where name = ${parameter} and ${isClosed})`;

/** A worker takes from an open queue, or the probe of a parked one. */
export const mayGo = `(${isOpen('queue')} or id = any(${probesThatMayGo}))`;

/** A worker could not claim what it fetched: without a parcel these wait for the relay again. Tells whether their queue is closed. */
export const giveBackSql = `
  with back as (
    update waybill.outbox_messages m set relayed_at = null, revision = m.revision + 1
     where m.id = any(array(select o.id from waybill.outbox_messages o
                             where o.id = any($1::uuid[]) and o.relayed_at is not null and ${guard('claim', 'o.status')}
                             for update skip locked)))
  select exists (select from waybill.queues where name = $2 and ${isClosed}) as closed`;

/** @returns whether the queue is closed */
export async function giveBack(tx: Executor, queue: string, ids: readonly string[]): Promise<boolean> {
  return (await tx.executeSql<{ closed: boolean }>(giveBackSql, [ids, queue])).rows[0]?.closed ?? false;
}
