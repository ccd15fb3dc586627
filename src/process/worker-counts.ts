// What each worker of a process does. A process with one worker is that worker. One that also sends webhooks has a second one with slots of its own
// (src/fleet/delivery.ts), so that the slots of a queue are not those of the process.

export type WorkerCounts = {
  readonly queues: readonly string[];
  /** Maximum number of deliveries at a time. */
  readonly slots: number;
  /** Deliveries that run, each in a slot. */
  busy(): number;
  /** Messages claimed before a slot was free. */
  prefetched(): number;
  /** Messages whose delivery has ended but is not yet settled. */
  settling(): number;
};

/** The text of the column `workers`: empty for a process with one. */
export function workersText(workers: readonly WorkerCounts[]): string {
  const rows = workers.map(({ queues, slots, ...counts }) => ({
    queues,
    slots,
    busy: counts.busy(),
    prefetched: counts.prefetched(),
    settling: counts.settling(),
  }));
  return JSON.stringify(rows.length > 1 ? rows : []);
}
