// An open parcel is opened where it was fetched: what is next in its lane is claimed at once. What has an attempt behind it is handed on in
// parcels of its own instead (invariant F). Where jobs run only so often, names are needed first: the lane's next messages are relayed here.

import type { Executor } from '../db/executor.ts';
import { claimLane, relayLane, type FromLane, type FromOpenLane, type Lane } from '../outbox/lane.ts';
import type { Milliseconds } from '../ports.ts';
import { pack } from '../queue/pack.ts';
import { messagesIn, openRemainder, type Parcel } from '../queue/parcel.ts';
import type { Bookmarks } from './bookmarks.ts';

export type Opened = {
  readonly claimed: readonly FromLane[];
  /** For the queue: what others can start. */
  readonly left: readonly Parcel[];
};

export type OpeningPorts = {
  readonly workerId: string;
  readonly leaseMs: Milliseconds;
  /** Without them each claim begins at the beginning of its lane. */
  readonly bookmarks?: Bookmarks;
};

const lanesOf = (parcels: readonly Parcel[]): [Lane, Parcel[]][] =>
  [...Map.groupBy(parcels, ({ priority }) => priority).values()].map((its) => [its[0]!, its]);

/** Claims at most `free` messages, of which `begins` begin at once; higher priorities first. */
export async function openParcels(
  tx: Executor,
  parcels: readonly Parcel[],
  free: number,
  ports: OpeningPorts,
  begins = free,
): Promise<Opened> {
  const claimed: FromLane[] = [];
  const left: Parcel[] = [];
  for (const [lane, its] of lanesOf(parcels)) {
    const limit = Math.min(free - claimed.length, messagesIn(its));
    const got = limit === 0 ? [] : await claimNextIn(tx, lane, limit, ports, begins - claimed.length);
    claimed.push(...got);
    const missing = limit - got.length;
    const attempted = missing > 0 ? await relayLane(tx, { ...lane, limit: missing, attempted: true }) : [];
    left.push(...pack(attempted, one));
    // Where the lane ends, nothing is left that parcels could stand for.
    if (attempted.length === missing) left.push(...openRemainder(its, limit, Math.max(limit, piece)));
  }
  return { claimed, left };
}

/** What the worker's bookmark does not lead to is looked for at the beginning of the lane. */
async function claimNextIn(
  tx: Executor,
  lane: Lane,
  limit: number,
  ports: OpeningPorts,
  begins: number,
): Promise<FromOpenLane[]> {
  const { claimed, wasMarked } = await claimOn(tx, lane, limit, ports, begins);
  const missing = limit - claimed.length;
  if (missing === 0 || !wasMarked) return claimed;
  const rest = { limit: missing, begins: begins - claimed.length };
  return [...claimed, ...(await claimLane(tx, { ...laneClaim(lane, ports), ...rest }))];
}

/** One statement: from the worker's bookmark on, if it has one. */
export async function claimOn(
  db: Executor,
  lane: Lane,
  limit: number,
  ports: OpeningPorts,
  begins = limit,
): Promise<{ readonly claimed: FromOpenLane[]; readonly wasMarked: boolean }> {
  const bookmark = ports.bookmarks?.open(lane);
  const from = bookmark?.from;
  const claimed = await claimLane(db, { ...laneClaim(lane, ports), limit, begins, from });
  bookmark?.close(claimed.length === limit ? Math.max(...claimed.map(({ due }) => due)) : undefined);
  return { claimed, wasMarked: from !== undefined };
}

const laneClaim = ({ queue, priority }: Lane, { workerId, leaseMs }: OpeningPorts) => ({
  queue,
  priority,
  workerId,
  leaseMs,
});

/** The same messages in parcels that name them: those to choose from, and those for a worker of their own. */
export async function nameParcels(
  tx: Executor,
  parcels: readonly Parcel[],
): Promise<{ readonly named: readonly Parcel[]; readonly alone: readonly Parcel[] }> {
  const named: Parcel[] = [];
  for (const [lane, its] of lanesOf(parcels))
    named.push(...pack(await relayLane(tx, { ...lane, limit: messagesIn(its), attempted: false }), one));
  return { named: named.filter(({ alone }) => !alone), alone: named.filter(({ alone }) => alone) };
}

/** Whoever takes little at a time leaves parcels that can be taken whole: giving back what is left of one costs as much as claiming. */
const piece = 25;

const one = { limit: 250, spread: 1 };
