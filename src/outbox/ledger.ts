// The books: how many messages were recorded and how many were pruned, apart from the rows. A message counts by being there until it is
// claimed or cancelled for the first time; then it is entered, a batch at once (sql/0005_audit.sql).

/** `…, entered as (…)`: enters what is uncounted among the rows of `taken`, a CTE with `id`, `kind` and `counted`. Its statement sets `counted`. */
export const enter = (taken: string): string => `
  entered as (
    insert into waybill.outbox_ledger (kind, recorded)
    select kind, count(*) from ${taken} where not counted group by kind)`;

/** The same for a few rows: an entry for each costs less than counting them by kind. */
export const enterEach = (taken: string): string => `
  entered as (
    insert into waybill.outbox_ledger (kind, recorded) select kind, 1 from ${taken} where not counted)`;

/** `ended as (…)`: counts how attempts ended, of the rows of `settled`, a CTE with `kind` and `queue` (sql/0005_audit.sql). */
export const countEnds = (outcome: string): string => `
  ended as (
    insert into waybill.outbox_ends (kind, queue, outcome, n)
    select kind, queue, ${outcome}, count(*) from settled group by 1, 2, 3)`;
