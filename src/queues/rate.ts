// The rate limit of a queue over the whole fleet. A rate of 10 a second is 10 permits in Postgres. Each permit allows one start, then none
// for a second, so no span of one second has more than 10. The transaction that claims messages books their permits a little ahead,
// each for its own slot. The worker returns a permit with its lateness; after a crash it becomes free when a grace period ends.
// All times are the database's (invariant H): `at` is the time of its answer, and the others are milliseconds from there.

import type { Executor } from '../db/executor.ts';
import type { Milliseconds } from '../ports.ts';
import type { Rate } from './limits.ts';

export type RatePlan = {
  readonly permits: number;
  /** No span of this length has more than `permits` deliveries. It is `permits` / rate: 1 s for a whole rate up to 1,000. */
  readonly windowMs: Milliseconds;
  /** How late a delivery may be after its slot without delaying the permit. This allowance costs 4 % of the rate. */
  readonly marginMs: Milliseconds;
  /** How far ahead slots are booked: enough that no slot passes unused, and so little that messages do not wait long for theirs. */
  readonly horizonMs: Milliseconds;
  /** How many permits that were idle get the same slot. */
  readonly burst: number;
};

/** Above this rate per second, the window shrinks instead. */
const mostPermits = 1_000;
const margin: Milliseconds = 40;
const horizon: Milliseconds = 400;

/** Time for a worker to return a permit, counted from one cycle after its slot. After that the worker counts as dead. */
export const graceMs: Milliseconds = 6_000;

export function planRate({ limit, ms, burst }: Rate): RatePlan {
  const permits = Math.min(mostPermits, limit);
  const windowMs = (permits / limit) * ms;
  const share = Math.min(1, windowMs / 1_000);
  return {
    permits,
    windowMs,
    marginMs: margin * share,
    horizonMs: horizon * share,
    burst: Math.min(permits, burst),
  };
}

const cycle = ({ windowMs, marginMs }: RatePlan): Milliseconds => windowMs + marginMs;

/** Maximum number of permits for one claim. */
export function mostAtOnce(plan: RatePlan): number {
  return Math.max(1, Math.floor((plan.horizonMs * plan.permits) / cycle(plan)));
}

export type FreePermit = { readonly n: number; readonly freeIn: Milliseconds };
export type Slot = { readonly n: number; readonly wait: Milliseconds };

/**
 * A permit gets the slot at which it becomes free, or now if it became free within the last eighth of a cycle. A permit that was idle for longer
 * gets a slot after the last booked one, so that deliveries after an idle time are spread evenly, but for the burst that the rate allows.
 * @param free permits, longest free first
 * @param lastIn time until the last booked slot
 */
export function assignSlots(free: readonly FreePermit[], lastIn: Milliseconds, plan: RatePlan): Slot[] {
  const spacing = cycle(plan) / plan.permits;
  let last = Math.max(lastIn, -plan.burst * spacing);
  const slots = free.map(({ n, freeIn }) => {
    if (freeIn > -cycle(plan) / 8) return { n, wait: Math.max(0, freeIn) };
    last += spacing;
    return { n, wait: Math.max(0, last) };
  });
  return slots.filter(({ wait }) => wait <= plan.horizonMs).toSorted((a, b) => a.wait - b.wait);
}

const after = (ms: string): string => `${ms} * interval '1 millisecond'`;
const until = (time: string): string => `(extract(epoch from ${time} - clock.at) * 1000)::float8`;

/** Values: queue, permits, horizon in ms, limit, a test's clock or null. Concurrent workers get different permits without waiting. */
export const lockPermitsSql = `
  with clock as materialized (select coalesce($5::timestamptz, clock_timestamp()) as at),
  last as materialized (select max(slot_at) as slot_at from waybill.queue_permits where queue = $1 and n <= $2)
  select p.n, ${until('p.free_at')} as "freeIn", ${until('last.slot_at')} as "lastIn", clock.at::text as at
    from waybill.queue_permits p cross join clock cross join last
   where p.queue = $1 and p.n <= $2 and p.free_at <= clock.at + ${after('$3')}
   order by p.free_at, p.n limit $4 for update of p skip locked`;

/** Values: queue, permits, ms to their slots, the time from which these count, ms from a slot until an unreturned permit is free. */
export const bookPermitsSql = `
  update waybill.queue_permits p
     set slot_at = $4::timestamptz + ${after('b.ms')}, free_at = $4::timestamptz + ${after('(b.ms + $5)')}
    from unnest($2::int[], $3::float8[]) as b(n, ms) where p.queue = $1 and p.n = b.n
  returning p.n, p.slot_at::text as "slotAt"`;

/** Values: queue, permits, their slots, ms from there until they are free. A late return changes nothing, because the slot has changed. */
export const returnPermitsSql = `
  update waybill.queue_permits p set free_at = p.slot_at + ${after('r.ms')}
    from unnest($2::int[], $3::timestamptz[], $4::float8[]) as r(n, slot_at, ms)
   where p.queue = $1 and p.n = r.n and p.slot_at = r.slot_at`;

/** Values: queue, permits, ms from a slot until the permit can be booked again if it is returned in time. */
export const nextPermitSql = `
  select (extract(epoch from min(least(free_at, slot_at + ${after('$3')})) - clock_timestamp()) * 1000)::float8 as ms
    from waybill.queue_permits where queue = $1 and n <= $2`;

/** @returns milliseconds until another permit can be booked; 0 or less: now, unless other workers hold the locks */
export async function nextPermitIn(db: Executor, queue: string, plan: RatePlan): Promise<Milliseconds> {
  const values = [queue, plan.permits, cycle(plan) - plan.horizonMs];
  return (await db.executeSql<{ ms: Milliseconds | null }>(nextPermitSql, values)).rows[0]?.ms ?? 0;
}

/** SQL expression: the rate of a row of waybill.queues per second, or null. @param q the row's name, with a dot */
export const perSecond = (q = ''): string =>
  `((${q}limits -> 'rate' ->> 'limit')::float8 * 1000 / (${q}limits -> 'rate' ->> 'ms')::float8)`;

/** Values: queue, permits. */
export const makePermitsSql = `
  insert into waybill.queue_permits (queue, n) select $1, n from generate_series(1, $2::int) n on conflict do nothing`;

export async function makePermits(db: Executor, queue: string, { permits }: RatePlan): Promise<void> {
  await db.executeSql(makePermitsSql, [queue, permits]);
}

/** A booked permit. Its slot is needed to return it. */
export type Permit = Slot & { readonly slotAt: string };

export type Locked = {
  /** The available slots, in order of time. */
  readonly slots: readonly Slot[];
  /** Fewer than requested, because others are in use. */
  readonly scarce: boolean;
  /** Books the first `count` slots; the other permits are unlocked when the transaction ends. */
  book(count: number): Promise<Permit[]>;
};

/** @param now a test's clock */
export async function lockPermits(
  tx: Executor,
  queue: string,
  plan: RatePlan,
  want: number,
  now: Date | null = null,
): Promise<Locked> {
  type Row = FreePermit & { readonly lastIn: Milliseconds; readonly at: string };
  const limit = Math.min(want, mostAtOnce(plan));
  const { permits, horizonMs } = plan;
  const { rows } = await tx.executeSql<Row>(lockPermitsSql, [queue, permits, horizonMs, limit, now]);
  const [first] = rows;
  const slots = first ? assignSlots(rows, first.lastIn, plan) : [];
  async function book(count: number): Promise<Permit[]> {
    const taken = slots.slice(0, count);
    if (taken.length === 0) return [];
    const [ns, waits] = [taken.map(({ n }) => n), taken.map(({ wait }) => wait)];
    const values = [queue, ns, waits, first?.at, cycle(plan) + graceMs];
    const booked = await tx.executeSql<{ n: number; slotAt: string }>(bookPermitsSql, values);
    const slotsAt = new Map(booked.rows.map(({ n, slotAt }) => [n, slotAt]));
    return taken.map((slot) => ({ ...slot, slotAt: slotsAt.get(slot.n)! }));
  }
  return { slots, scarce: slots.length < limit, book };
}

/** A returned permit; `late` is the delay after its slot, null when it was not used. */
export type Return = { readonly permit: Permit; readonly late: Milliseconds | null };

export async function returnPermits(
  db: Executor,
  queue: string,
  plan: RatePlan,
  returns: readonly Return[],
): Promise<void> {
  const freeAfter = (late: Milliseconds | null): Milliseconds =>
    late === null ? 0 : plan.windowMs + Math.max(plan.marginMs, late);
  const permits = returns.map(({ permit }) => permit);
  await db.executeSql(returnPermitsSql, [
    queue,
    permits.map(({ n }) => n),
    permits.map(({ slotAt }) => slotAt),
    returns.map(({ late }) => freeAfter(late)),
  ]);
}
