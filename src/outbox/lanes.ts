// Every queue and priority in which something waits, as a part of the statements that look through all of them.

/**
 * `lane(queue, priority)`: every queue and priority in which something waits, found by stepping through the index
 * (a loose scan): what it costs depends on the number of lanes, not of messages. Queues and priorities come in descending order.
 */
export const lanes = `
  lane as (
    (select queue, priority from waybill.outbox_messages
      where relayed_at is null and cancelled_at is null order by queue desc, priority desc limit 1)
    union all
    select next.queue, next.priority from lane cross join lateral (
      select w.queue, w.priority from waybill.outbox_messages w
       where w.relayed_at is null and w.cancelled_at is null and (w.queue, w.priority) < (lane.queue, lane.priority)
       order by w.queue desc, w.priority desc limit 1) next)`;
