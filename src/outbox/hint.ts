// The text of a nudge: the lanes in which something was recorded, as `queue:priority`, parted by spaces. A queue alone is any of its lanes.
// Empty: any queue, which is also what a NOTIFY means that somebody sends by hand.

/** Postgres takes less than 8,000 bytes. */
const longest = 7_000;

/** Names of queues need no escape (src/outbox/message.ts); what has another name, put there by hand, is any queue. */
export function hintOf(places: Iterable<string>): string {
  const all = [...places];
  const text = all.join(' ');
  return all.every((place) => /^[A-Za-z0-9._-]+(:-?\d+)?$/.test(place)) && text.length <= longest ? text : '';
}

/** The lanes and queues that a hint names; undefined: any. */
export function placesIn(hint: string): readonly string[] | undefined {
  if (!hint.includes(' ')) return hint === '' ? undefined : [hint];
  const places = hint.split(' ').filter((place) => place !== '');
  return places.length > 0 ? places : undefined;
}

/** The lane of a message, as a hint names it. */
export function placeOf({ queue, priority = 0 }: Placed): string {
  return `${queue}:${priority}`;
}

type Placed = { readonly queue: string; readonly priority?: number | undefined };

/** The queue that a hint names, and the priority of its lane, if it names one. What no priority can be, put there by hand, is any lane. */
export function fromPlace(place: string): Placed {
  const colon = place.indexOf(':');
  if (colon < 0) return { queue: place };
  const [queue, level] = [place.slice(0, colon), place.slice(colon + 1)];
  return /^-?\d{1,4}$/.test(level) ? { queue, priority: Number(level) } : { queue };
}
