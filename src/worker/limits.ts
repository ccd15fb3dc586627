// How many handlers of one job run in this process: a job's `concurrency`. What has no room is not claimed; it stays for later or for
// another process.

import type { Registry } from '../define/registry.ts';
import type { ClaimedMessage } from '../outbox/message.ts';

export type Limits = {
  /** The jobs of this queue that have a limit, and how many of each may start now; undefined when there is none. */
  room(queue: string): ReadonlyMap<string, number> | undefined;
  started(message: ClaimedMessage): void;
  ended(message: ClaimedMessage): void;
};

export function createLimits(registry: Registry): Limits {
  const limited = registry.app.jobs.filter((job) => job.concurrency !== undefined);
  const byQueue = Map.groupBy(limited, (job) => job.queue);
  const running = new Map<string, number>();
  const names = new Set(limited.map((job) => job.name));

  function change(message: ClaimedMessage, by: 1 | -1): void {
    if (names.size === 0 || message.kind !== 'job' || !names.has(message.name)) return;
    running.set(message.name, (running.get(message.name) ?? 0) + by);
  }

  return {
    room(queue) {
      const jobs = byQueue.get(queue);
      return jobs && new Map(jobs.map((job) => [job.name, job.concurrency! - (running.get(job.name) ?? 0)]));
    },
    started: (message) => change(message, 1),
    ended: (message) => change(message, -1),
  };
}

export type Wanted = {
  readonly parcels: number;
  /** Messages that may be claimed … */
  readonly free: number;
  /** … and how many of them begin at once. Default: all. */
  readonly begins?: number;
  /** Jobs with a limit, and how many of each may start. */
  readonly room?: ReadonlyMap<string, number> | undefined;
};

/** The first `free` messages whose jobs have room. `jobs`: message → job, for jobs with a limit. */
export function startable(
  offered: readonly string[],
  { free, room = new Map() }: Wanted,
  jobs: ReadonlyMap<string, string>,
): { ids: string[]; heldBack: number } {
  const left = new Map(room);
  const ids: string[] = [];
  let heldBack = 0;
  for (const id of offered) {
    if (ids.length === free) break;
    const job = jobs.get(id);
    const places = job === undefined ? Number.POSITIVE_INFINITY : (left.get(job) ?? 0);
    if (places > 0) ids.push(id);
    else heldBack += 1;
    if (job !== undefined && places > 0) left.set(job, places - 1);
  }
  return { ids, heldBack };
}
