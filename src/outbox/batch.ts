// `claimBatch`: claims a batch over several queues, for drains and applications that claim themselves. Higher priorities come first.
// Places of the same priority share the rest of the limit, so that one queue's backlog does not delay the others.

import type { Executor } from '../db/executor.ts';
import { claimProbe, claimSome, claimSuspect, type Lease, type Only } from './claim.ts';
import { claimGroups, type GroupsClaim } from './claim-groups.ts';
import type { Claimed } from './claimed.ts';
import { findDue, type DuePlace } from './waiting.ts';
import type { ClaimedMessage } from '../message/message.ts';
import type { ClaimRequest } from './port.ts';

export async function claimBatch(db: Executor, request: ClaimRequest): Promise<ClaimedMessage[]> {
  const found = (await findDue(db, request.queues)).places.filter(({ probe, named }) => !probe && !named);
  const taken: ClaimedMessage[] = [];
  if (request.suspects !== true) {
    const waiting = uncovered(found.filter(({ suspects }) => !suspects)).toSorted(
      (a, b) => b.priority - a.priority,
    );
    for (const places of Map.groupBy(waiting, ({ priority }) => priority).values())
      await claimAt(db, places, request, taken);
  }
  if (request.suspects !== false)
    for (const { queue, suspects } of found) {
      if (!suspects || taken.length >= request.limit) continue;
      for (const { message } of await claimSuspect(db, queue, request, request)) taken.push(message);
    }
  return taken;
}

/** Where groups wait, their claims also take the messages without a group, in turn. */
function uncovered(places: readonly DuePlace[]): DuePlace[] {
  const nameOf = ({ queue, priority }: DuePlace): string => `${priority} ${queue}`;
  const grouped = new Set(places.filter(({ isGrouped }) => isGrouped).map(nameOf));
  return places.filter((place) => place.isGrouped || !grouped.has(nameOf(place)));
}

/** Each place gets an equal share. The next round divides the unused shares among the others. */
async function claimAt(
  db: Executor,
  places: readonly DuePlace[],
  request: ClaimRequest,
  taken: ClaimedMessage[],
): Promise<void> {
  let open = places;
  const turns = new Map<DuePlace, string>();
  while (open.length > 0 && taken.length < request.limit) {
    const left = request.limit - taken.length;
    const share = request.ids ? left : Math.ceil(left / open.length);
    const full: DuePlace[] = [];
    for (const place of open) {
      const limit = Math.min(share, request.limit - taken.length);
      if (limit <= 0) break;
      const begins = request.begins === undefined ? undefined : Math.max(0, request.begins - taken.length);
      const claim = { ...place, ...request, limit, begins };
      const got = place.isGrouped
        ? await claimInTurn(db, place, claim, request, turns)
        : await claimSome(db, claim, request);
      for (const { message } of got) taken.push(message);
      if (got.length === limit || (place.isGrouped && got.length > 0)) full.push(place);
    }
    open = full;
  }
}

/**
 * Claims of the groups of a place, until one finds something or they have passed the last group twice: they may begin anywhere.
 * @param turns the group behind which the next claim of each place begins
 */
async function claimInTurn(
  db: Executor,
  place: DuePlace,
  claim: GroupsClaim,
  only: Only,
  turns: Map<DuePlace, string>,
): Promise<readonly Claimed[]> {
  for (let laps = 0; laps < 2;) {
    const { claimed, next, isLap } = await claimGroups(db, { ...claim, after: turns.get(place) }, only);
    if (next !== undefined) turns.set(place, next);
    if (claimed.length > 0 || next === undefined) return claimed;
    if (isLap) laps++;
  }
  return [];
}

/** Claims one probe of each parked queue that is due for one. The caller reports the result to the queue (src/worker/queue-closer.ts). */
export async function claimProbes(
  db: Executor,
  queues: readonly string[],
  lease: Lease,
): Promise<ClaimedMessage[]> {
  const taken: ClaimedMessage[] = [];
  for (const { queue, probe, suspects } of (await findDue(db, queues)).places)
    if (probe && !suspects) for (const { message } of await claimProbe(db, queue, lease)) taken.push(message);
  return taken;
}
