// The workers of the fleet's processes, from the counts that each process writes about its own (src/process/worker-counts.ts).

/**
 * @param processes a table or CTE with rows of waybill.processes
 * @returns a query with one row for each of their workers
 */
export const workersOf = (processes: string): string => `
    select p.isolating, w.* from ${processes} p cross join lateral (
      select p.queues, p.slots, p.busy, p.prefetched, p.settling where p.workers = '[]'
      union all
      select * from jsonb_to_recordset(p.workers) as x(queues text[], slots int, busy int, prefetched int, settling int)) w`;
