// How many workers Postgres has connections for. Advice beyond that would starve other users.

import { calmSeconds, type Advice } from './advice.ts';

export type Connections = {
  /** `max_connections` without those reserved for superusers. */
  readonly most: number;
  /** Open now, of all users. */
  readonly used: number;
  /** Of one worker process, at most. */
  readonly perWorker: number;
  readonly workers: number;
};

/** [time, how many workers there were connections for] */
export type Capacities = readonly (readonly [number, number])[];

/** The lowest of the last ten minutes counts, because connections come and go. */
export function nextCapacities(before: Capacities, at: number, now: Connections): Capacities {
  const { most, used, perWorker, workers } = now;
  const capacity = workers + Math.max(0, Math.floor((most - used) / perWorker));
  return [...before, [at, capacity] as const].filter(([when]) => at - when <= calmSeconds);
}

export type Sized = Advice & {
  /** The number before the limit of connections. */
  readonly wanted: number;
};

/**
 * Limits the advice to the workers that there are connections for. Running workers have theirs already. The rest goes one worker at a time to the
 * queue with the smallest share of what it wants.
 */
export function fit(
  all: readonly (Advice & { readonly workers: number })[],
  { most, used, perWorker, workers: running }: Connections,
  capacities: Capacities,
): Sized[] {
  const given = new Map(
    all.map(({ queue, recommended, workers }) => [queue, Math.min(recommended, Math.max(1, workers))]),
  );
  const startable = Math.max(0, Math.min(...capacities.map(([, capacity]) => capacity)) - running);
  let left = startable;
  for (; left > 0; left--) {
    const short = all.filter(({ queue, recommended }) => given.get(queue)! < recommended);
    if (short.length === 0) break;
    const next = short.reduce((a, b) =>
      given.get(a.queue)! / a.recommended <= given.get(b.queue)! / b.recommended ? a : b,
    );
    given.set(next.queue, given.get(next.queue)! + 1);
  }
  return all.map((advice) => {
    const recommended = given.get(advice.queue)!;
    const wanted = advice.recommended;
    const cut = `${wanted} are wanted, and Postgres has connections for ${startable} more workers: ${used} of ${most} are open, a worker takes up to ${perWorker} (WAYBILL_POOL_MAX sets that)`;
    return {
      ...advice,
      wanted,
      recommended,
      exact: Math.min(advice.exact, recommended),
      reasons: recommended < wanted ? [...advice.reasons, cut] : advice.reasons,
    };
  });
}
