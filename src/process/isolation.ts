// Isolation: a suspect (src/outbox/waiting.ts) runs while nothing else is in flight in its process (invariant F). Before it, the process closes in
// steps. Queues with long deliveries stop first; the others go on while a long delivery is still in flight. So a suspect stops the other queues for
// little more than its own run. After it, the process stays open as long as it was closed.

import type { Clock, Milliseconds, Random } from '../ports.ts';

/** A message that this process has claimed and not yet settled. */
export type InFlight = {
  readonly queue: string;
  readonly at: Milliseconds;
  /** When its delivery was over, so that it only waits to be settled; undefined while it is not. */
  readonly overAt?: Milliseconds | undefined;
};

export type Isolation = {
  begun(one: InFlight): void;
  ended(one: InFlight): void;
  /** A claim starts. It may bring messages. */
  asks(): void;
  answered(): void;
  /** Sets whether this worker has found a waiting suspect. */
  want(worker: object, wanted: boolean): void;
  /** Whether messages of this queue may be claimed. */
  admits(queue: string): boolean;
  /** Whether a suspect may be claimed now. @param others wait in this process too: they come first for a while after the last suspect */
  mayEnter(others: boolean): boolean;
  /** This worker claims a suspect: nothing else is claimed from now on. */
  enter(worker: object): void;
  /** The suspect of this worker is settled, or there was none. */
  leave(worker: object): void;
  /** Suspects that this process runs, or makes room for: 0 or 1. */
  isolating(): number;
};

/** A delivery that takes more is long. */
const long: Milliseconds = 250;
/** An idle process takes a suspect at once. A busy one leaves it to others for one to two times this long. */
const othersFirst: Milliseconds = 1_000;
/** After closing for this long without room for the suspect, the process claims nothing more. */
const longest: Milliseconds = 30_000;
/** A settlement takes milliseconds. After this time its database is away, and it holds up no suspect and no claim of another database. */
const longestSettling: Milliseconds = 2_000;
/** After a suspect, the process stays open as long as it was closed, within these bounds. */
const [leastOpen, mostOpen]: [Milliseconds, Milliseconds] = [250, 15_000];
/** Weight of a new measurement. */
const weight = 1 / 16;

// oxlint-disable-next-line max-lines-per-function -- methods over one shared state
export function createIsolation(clock: Clock, random: Random): Isolation {
  const inFlight = new Set<InFlight>(); // oldest first
  const usual = new Map<string, Milliseconds>(); // average duration of a delivery, by queue
  const wanting = new Set<object>();
  let claims = 0;
  let closesAt = Number.POSITIVE_INFINITY;
  let closedAt: Milliseconds | undefined;
  let openUntil = Number.NEGATIVE_INFINITY;
  let alone: { readonly worker: object; suspect?: InFlight } | undefined;

  const isStranded = ({ overAt }: InFlight, now: Milliseconds): boolean =>
    overAt !== undefined && now - overAt > longestSettling;

  /** A suspect is being claimed, or runs. */
  const isTaken = (now: Milliseconds): boolean =>
    alone !== undefined && !(alone.suspect && isStranded(alone.suspect, now));

  const isLong = (queue: string): boolean => (usual.get(queue) ?? 0) > long;

  function isClosing(now: Milliseconds): boolean {
    if (wanting.size === 0 || now < closesAt || now < openUntil) return false;
    closedAt ??= now;
    return true;
  }

  /** A message will stay in flight for a while. */
  function isHeldUp(now: Milliseconds): boolean {
    for (const one of inFlight)
      if (!isStranded(one, now) && (now - one.at > long || isLong(one.queue))) return true;
    return false;
  }

  return {
    begun(one) {
      inFlight.add(one);
      if (alone) alone.suspect ??= one;
    },
    ended(one) {
      inFlight.delete(one);
      const took = (one.overAt ?? clock.now()) - one.at;
      const before = usual.get(one.queue);
      usual.set(one.queue, before === undefined ? took : before + (took - before) * weight);
    },
    asks: () => void claims++,
    answered: () => void claims--,
    want(worker, wanted) {
      if (wanted && wanting.size === 0) closesAt = clock.now() + othersFirst * (1 + random());
      if (wanted) wanting.add(worker);
      else if (wanting.delete(worker) && wanting.size === 0 && !isTaken(clock.now())) closedAt = undefined;
    },
    admits(queue) {
      if (!alone && wanting.size === 0) return true;
      const now = clock.now();
      if (isTaken(now)) return false;
      if (!isClosing(now)) return true;
      return now - closedAt! < longest && !isLong(queue) && isHeldUp(now);
    },
    mayEnter(others) {
      const now = clock.now();
      if (claims > 0 || isTaken(now)) return false;
      for (const one of inFlight) if (!isStranded(one, now)) return false;
      return !others || now >= openUntil;
    },
    enter(worker) {
      alone = { worker };
      closedAt ??= clock.now();
    },
    leave(worker) {
      if (alone?.worker !== worker) return; // its settlement took so long that another suspect has entered
      const now = clock.now();
      openUntil = now + Math.min(mostOpen, Math.max(leastOpen, now - (closedAt ?? now)));
      alone = undefined;
      closedAt = undefined;
      closesAt = now + othersFirst * (1 + random());
    },
    isolating: () => Number(isTaken(clock.now()) || isClosing(clock.now())),
  };
}
