// Closed queues, as the statements of claim and relay ask for them. Closed means paused by a person, parked by an operator failure, or held
// for a time that the provider named; of a parked queue one message at a time is the probe. The table has a row for each queue, so that
// asking costs microseconds and no round trip, and a change holds from the next claim on.

const held = 'held_until > now()';

/** Condition on a row of waybill.queues. */
export const isClosed = `(paused_at is not null or parked_at is not null or ${held})`;

/** Parked and nothing else, and the time for a probe has come. Condition on a row `q` of waybill.queues. */
export const mayProbe = `(q.parked_at is not null and q.paused_at is null and (q.${held}) is not true and q.probe_at <= now()
  and not exists (select from waybill.outbox_messages p
                   where p.id = q.probe_message and p.status = 'sending' and p.claimed_until > now()))`;

/** The queue is open. */
export const isOpen = (queue: string): string =>
  `${queue} <> all(array(select name from waybill.queues where ${isClosed}))`;

/**
 * The same for one queue that a parameter names. It goes through the primary key: where sequential scans are disabled, one that has no alternative
 * adds 1e10 to the cost of its plan before Postgres 18, and with `jit = on` the plan is compiled at each execution (1 s instead of 1 ms).
 */
export const isOpenAlone = (parameter: string): string =>
  `not exists (select from waybill.queues where name = ${parameter} and ${isClosed})`;
