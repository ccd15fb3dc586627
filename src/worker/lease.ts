// Leases of what this worker holds: renewed every third of their length, in one statement for all. An attempt whose lease is gone is
// aborted, and one whose lease may be gone is not begun (invariants C and D): a process that stood still cannot trust what it held.

import type { ClaimedMessage } from '../message/message.ts';
import type { OutboxPort } from '../outbox/port.ts';
import type { Clock, Milliseconds, AbortListener, Interrupt } from '../ports.ts';

/** What holds a lease. It is aborted when the lease is lost, or released. */
export type Leased = Interruption & {
  readonly message: ClaimedMessage;
  /** The lease may have run out from then on, measured from before its last renewal. */
  until: Milliseconds;
  /** Among those that are held; −1: not held. */
  place: number;
};

export type Leases = {
  /** Keeps the lease until `drop`. @param since the process's time before the claim was sent */
  hold(one: Leased, since: Milliseconds): void;
  drop(one: Leased): void;
  /** False when the lease may have run out. */
  isSafe(one: Leased): boolean;
  /** Aborts every attempt that is under way: the worker releases what it holds. */
  release(): void;
  /** Renews everything; the body of the lease loop. */
  renew(): Promise<Milliseconds>;
};

export function createLeases(outbox: OutboxPort, leaseMs: Milliseconds, clock: Clock): Leases {
  const held: Leased[] = []; // each knows its place: a map would hash a token for each message
  const interval = Math.max(50, leaseMs / 3);

  function lose(one: Leased): void {
    one.abort(new LeaseLost(one.message.id));
  }

  async function extend(): Promise<void> {
    const before = clock.now();
    const asked = held.filter((one) => !one.aborted);
    const kept = new Set(
      await outbox.extend(
        asked.map((one) => one.message),
        leaseMs,
      ),
    );
    for (const one of asked) {
      if (kept.has(one.message.id)) one.until = before + leaseMs;
      else if (one.place >= 0) lose(one); // else it was settled meanwhile
    }
  }

  return {
    hold(one, since) {
      one.until = since + leaseMs;
      one.place = held.push(one) - 1;
    },
    drop(one) {
      if (one.place < 0) return;
      const last = held.pop()!;
      if (last !== one) held[(last.place = one.place)] = last;
      one.place = -1;
    },
    isSafe: (one) => !one.aborted && clock.now() < one.until,
    release() {
      for (const one of held.slice()) one.abort(new Released());
    },
    async renew() {
      try {
        if (held.length > 0) await extend();
        return interval;
      } finally {
        for (const one of held.filter(({ until }) => clock.now() >= until)) lose(one);
      }
    },
  };
}

class LeaseLost extends Error {
  override readonly name = 'LeaseLost';
  constructor(id: string) {
    super(`the lease of message ${id} ran out while it was being delivered`);
  }
}

class Released extends Error {
  override readonly name = 'Released';
  constructor() {
    super('the worker is shutting down and releases what it holds');
  }
}

/** A class, because an object with getters of its own costs V8 a shape of its own, for each message. */
export class Interruption implements Interrupt {
  aborted = false;
  reason: unknown = undefined;
  #listeners: AbortListener[] | undefined = undefined;

  addEventListener(_: 'abort', listener: AbortListener): void {
    if (this.#listeners) this.#listeners.push(listener);
    else this.#listeners = [listener]; // an empty array would grow by seventeen places
  }

  removeEventListener(_: 'abort', listener: AbortListener): void {
    if (this.#listeners?.at(-1) === listener) return void this.#listeners.pop(); // splice makes an array of what it takes
    const place = this.#listeners?.indexOf(listener) ?? -1;
    if (place >= 0) this.#listeners!.splice(place, 1);
  }

  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    const told = this.#listeners ?? [];
    this.#listeners = undefined;
    for (const listener of told) {
      if (typeof listener === 'function') listener();
      else listener.handleEvent();
    }
  }
}
