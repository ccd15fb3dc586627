// The leases that this worker holds. One statement renews all of them, every third of their length. An attempt whose lease is lost is aborted; one
// whose lease may have run out is not begun (invariants C and D).

import type { ClaimedMessage } from '../message/message.ts';
import type { OutboxPort } from '../outbox/port.ts';
import type { Clock, Milliseconds, AbortListener, Interrupt } from '../ports.ts';
import type { Loop } from '../process/loop.ts';

/** The holder of a lease. It is aborted when the lease is lost or released. */
export type Leased = Interruption & {
  readonly message: ClaimedMessage;
  /** When its claim was answered, by the process's clock. */
  readonly at: Milliseconds;
  /** The lease may have run out after this time. It counts from before its claim or last renewal was sent. */
  until: Milliseconds;
  /** Index in the list of held leases; −1: not held. */
  place: number;
};

export type Leases = {
  /** Renews the lease until `drop`. @param since when the claim was sent, by the process's clock */
  hold(one: Leased, since: Milliseconds): void;
  drop(one: Leased): void;
  /** False when the lease may have run out. */
  isSafe(one: Leased): boolean;
  /** Aborts every attempt that holds a lease, to release its message. */
  release(): void;
  /**
   * A person ended the claim of this message. An attempt of it is aborted if the database says so; one that is still to begin is given up.
   */
  ended(id: string): Promise<void>;
  /** Renews all leases; the body of the lease loop. */
  renew(): Promise<Milliseconds>;
};

// oxlint-disable-next-line max-lines-per-function -- methods over the leases of one worker
export function createLeases(outbox: OutboxPort, leaseMs: Milliseconds, clock: Clock): Leases {
  const held: Leased[] = []; // each holder stores its index: a map would hash a token for each message
  const interval = Math.max(50, leaseMs / 3);
  const endedAt = new Map<string, Milliseconds>(); // claims that a person ended lately, by the message's id

  function lose(one: Leased): void {
    const { id } = one.message;
    one.abort(endedAt.has(id) ? new ClaimEnded(id) : new LeaseLost(id));
  }

  /** @param id only leases of this message; default: all */
  async function extend(id?: string): Promise<void> {
    const before = clock.now();
    const asked = held.filter((one) => !one.aborted && (id === undefined || one.message.id === id));
    for (const one of outdated(asked)) lose(one);
    const kept = new Set(
      await outbox.extend(
        asked.map((one) => one.message),
        leaseMs,
      ),
    );
    for (const one of asked) {
      if (one.aborted) continue;
      if (kept.has(one.message.id)) one.until = before + leaseMs;
      else if (one.place >= 0) lose(one); // otherwise it was settled meanwhile
    }
  }

  return {
    hold(one, since) {
      one.until = since + leaseMs;
      one.place = held.push(one) - 1;
      if (endedAt.size > 0 && (endedAt.get(one.message.id) ?? Number.NEGATIVE_INFINITY) > since) lose(one);
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
    async ended(id) {
      const now = clock.now();
      for (const [old, at] of endedAt) if (now - at > leaseMs) endedAt.delete(old);
      endedAt.set(id, now);
      if (held.some(({ message }) => message.id === id)) await extend(id);
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

/**
 * The loop that renews the leases. After an outage that is shorter than a lease, a renewal must still come in time: two thirds of a lease are left
 * when the first one fails, and the pauses between the next may use up a tenth of that.
 */
export function renewalOf(leases: Leases, leaseMs: Milliseconds, name: string): Loop {
  return { name, step: leases.renew, everyMs: leaseMs / 3, longestPauseMs: Math.min(1_000, leaseMs / 15) };
}

/** Of a message that is held twice, the earlier lease: it was claimed again, and the answer of the database names only the message. */
function outdated(its: readonly Leased[]): Leased[] {
  const newest = new Map<string, Leased>();
  const old: Leased[] = [];
  for (const one of its) {
    const other = newest.get(one.message.id);
    if (other) old.push(other.at < one.at ? other : one);
    if (!other || other.at < one.at) newest.set(one.message.id, one);
  }
  return old;
}

class LeaseLost extends Error {
  override readonly name = 'LeaseLost';
  constructor(id: string) {
    super(`the lease of message ${id} ran out while it was being delivered`);
  }
}

class ClaimEnded extends Error {
  override readonly name = 'ClaimEnded';
  constructor(id: string) {
    super(`a person ended the delivery of message ${id}`);
  }
}

class Released extends Error {
  override readonly name = 'Released';
  constructor() {
    super('the worker is shutting down and releases what it holds');
  }
}

/** A class, because an object literal with getters costs V8 one hidden class for each message. */
export class Interruption implements Interrupt {
  aborted = false;
  reason: unknown = undefined;
  #listeners: AbortListener[] | undefined = undefined;

  addEventListener(_: 'abort', listener: AbortListener): void {
    if (this.#listeners) this.#listeners.push(listener);
    else this.#listeners = [listener]; // pushing to an empty array reserves seventeen elements
  }

  removeEventListener(_: 'abort', listener: AbortListener): void {
    if (this.#listeners?.at(-1) === listener) return void this.#listeners.pop(); // splice allocates an array for what it removes
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
