// Isolation: a suspect (src/outbox/waiting.ts) runs while nothing else is in flight in its process (invariant F). Before it, the process closes in
// steps. Queues with long deliveries stop first; the others go on while a long delivery is still in flight. So a suspect stops the other queues for
// little more than its own run. After it, the process stays open as long as it was closed.

import type { Clock, Milliseconds, Random } from '../ports.ts';

/** A message that this process has claimed and not yet settled. */
export type InFlight = { readonly queue: string; readonly at: Milliseconds };

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
  /** Nothing else is claimed from now on. */
  enter(): void;
  /** The suspect is settled, or there was none. */
  leave(): void;
  /** Suspects that this process runs, or makes room for: 0 or 1. */
  isolating(): number;
};

/** A delivery that takes more is long. */
const long: Milliseconds = 250;
/** An idle process takes a suspect at once. A busy one leaves it to others for one to two times this long. */
const othersFirst: Milliseconds = 1_000;
/** After closing for this long without room for the suspect, the process claims nothing more. */
const longest: Milliseconds = 30_000;
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
  let entered = false;

  const isLong = (queue: string): boolean => (usual.get(queue) ?? 0) > long;

  function isClosing(now: Milliseconds): boolean {
    if (wanting.size === 0 || now < closesAt || now < openUntil) return false;
    closedAt ??= now;
    return true;
  }

  /** A message will stay in flight for a while. */
  function isHeldUp(now: Milliseconds): boolean {
    for (const { queue, at } of inFlight) if (now - at > long || isLong(queue)) return true;
    return false;
  }

  return {
    begun: (one) => void inFlight.add(one),
    ended(one) {
      inFlight.delete(one);
      const took = clock.now() - one.at;
      const before = usual.get(one.queue);
      usual.set(one.queue, before === undefined ? took : before + (took - before) * weight);
    },
    asks: () => void claims++,
    answered: () => void claims--,
    want(worker, wanted) {
      if (wanted && wanting.size === 0) closesAt = clock.now() + othersFirst * (1 + random());
      if (wanted) wanting.add(worker);
      else if (wanting.delete(worker) && wanting.size === 0 && !entered) closedAt = undefined;
    },
    admits(queue) {
      if (entered) return false;
      if (wanting.size === 0) return true;
      const now = clock.now();
      if (!isClosing(now)) return true;
      return now - closedAt! < longest && !isLong(queue) && isHeldUp(now);
    },
    mayEnter(others) {
      if (entered || inFlight.size > 0 || claims > 0) return false;
      return !others || clock.now() >= openUntil;
    },
    enter() {
      entered = true;
      closedAt ??= clock.now();
    },
    leave() {
      const now = clock.now();
      openUntil = now + Math.min(mostOpen, Math.max(leastOpen, now - (closedAt ?? now)));
      entered = false;
      closedAt = undefined;
      closesAt = now + othersFirst * (1 + random());
    },
    isolating: () => Number(entered || isClosing(clock.now())),
  };
}
