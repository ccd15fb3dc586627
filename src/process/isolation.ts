// Isolation: a suspect (src/outbox/suspect.ts) runs while nothing else is in flight in its process (invariant F). Until then the process closes
// step by step: queues whose deliveries take long stop first, the others go on for as long as something long is still in flight. So a suspect
// stops the other queues for its own run, and hardly longer. After it, the process is open for as long as it was closed.

import type { Clock, Milliseconds, Random } from '../ports.ts';

/** A message that this process has claimed, from the claim to its recorded end. */
export type InFlight = { readonly queue: string; readonly at: Milliseconds };

export type Isolation = {
  begun(one: InFlight): void;
  ended(one: InFlight): void;
  /** A claim is under way: it may bring messages. */
  asks(): void;
  answered(): void;
  /** Whether this worker knows of a suspect that waits. */
  want(worker: object, wanted: boolean): void;
  /** May messages of this queue be claimed? */
  admits(queue: string): boolean;
  /** May a suspect be claimed now? @param others wait in this process too: they come first for a while after the last suspect */
  mayEnter(others: boolean): boolean;
  /** From now on nothing else is claimed. */
  enter(): void;
  /** The suspect is recorded, or there was none. */
  leave(): void;
  /** Suspects that this process runs, or makes room for: 0 or 1. */
  isolating(): number;
};

/** Deliveries above this are long. */
const long: Milliseconds = 250;
/** A process that is idle takes the suspect at once; one that works leaves it to others for one to two times as long … */
const othersFirst: Milliseconds = 1_000;
/** … and when it has waited for so long while it closes, it claims nothing more. */
const longest: Milliseconds = 30_000;
/** After a suspect it is open for as long as it was closed, within these bounds. */
const [leastOpen, mostOpen]: [Milliseconds, Milliseconds] = [250, 15_000];
/** Weight of a new measurement. */
const weight = 1 / 16;

export function createIsolation(clock: Clock, random: Random): Isolation {
  const inFlight = new Set<InFlight>(); // the oldest first
  const usual = new Map<string, Milliseconds>(); // what a delivery takes, by queue
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

  /** Something will be in flight for a while yet. */
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
