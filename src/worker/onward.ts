// The onward claim: where the last claim of a lane found all that it wanted, the next one needs no parcel, for the rows alone say what waits.
// Parcels are looked at again when it finds less, when new ones come, and when the worker's bookmark has had its time.

import type { Lane } from '../outbox/lane.ts';
import { nothing, type ClaimPorts, type Taken } from './claim.ts';
import { claimOn } from './opening.ts';
import type { Source, Sources } from './sources.ts';

/** Undefined: what is next comes by parcels. Turns of a queue with a rate are given with them only. */
export function laneAhead(
  { queue, alone }: Source,
  sources: Sources,
  { bookmarks, turns }: ClaimPorts,
): Lane | undefined {
  if (alone || turns?.has(queue)) return undefined;
  const lane = bookmarks?.going(queue);
  if (lane && !sources.isNews(queue)) return lane;
  sources.looked(queue);
  return undefined;
}

/** Claims at most `free` messages, in one statement. @param begins so many of them begin at once */
export async function claimOnward(
  lane: Lane,
  free: number,
  ports: ClaimPorts,
  begins = free,
): Promise<Taken> {
  const { claimed } = await claimOn(ports.planned ?? ports.db, lane, free, ports, begins);
  return {
    ...nothing,
    messages: claimed.map(({ message }) => message),
    lags: claimed.map(({ lag }) => lag),
    more: true,
  };
}
