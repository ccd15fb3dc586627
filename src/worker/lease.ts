// Leases of what this worker holds: renewed every third of their length, in one statement for all. An attempt whose lease is gone is
// aborted, and one whose lease may be gone is not begun (invariants C and D): a process that stood still cannot trust what it held.

import type { ClaimedMessage } from '../outbox/message.ts';
import type { OutboxPort } from '../outbox/port.ts';
import type { Clock, Interrupt, Milliseconds } from '../ports.ts';
import { Interruption } from './interrupt.ts';

export type Leases = {
  /** Keeps the message's lease until `drop`. `since`: the process's time before the claim was sent. */
  hold(message: ClaimedMessage, since: Milliseconds): Held;
  drop(held: Held): void;
  /** Aborts every attempt that is under way: the worker gives back what it holds. */
  giveBack(): void;
  /** Renews everything; the body of the lease loop. */
  renew(): Promise<Milliseconds>;
};

export type Held = {
  /** Aborts when the lease is lost or given back. */
  readonly signal: Interrupt;
  /** False when the lease may have run out, measured from before its last renewal. */
  isSafe(): boolean;
};

/** A class, because one is made for each message: its method is made once. It is its own signal, an object less for each. */
class Entry extends Interruption implements Held {
  readonly message: ClaimedMessage;
  readonly #clock: Clock;
  until: Milliseconds;
  /** Among the entries; none when it was dropped. */
  place: number;

  constructor(message: ClaimedMessage, until: Milliseconds, clock: Clock, place: number) {
    super();
    this.message = message;
    this.until = until;
    this.#clock = clock;
    this.place = place;
  }

  get signal(): Interrupt {
    return this;
  }

  isSafe(): boolean {
    return !this.aborted && this.#clock.now() < this.until;
  }
}

export function createLeases(outbox: OutboxPort, leaseMs: Milliseconds, clock: Clock): Leases {
  const entries: Entry[] = []; // each knows its place: a map would hash a token for each message
  const interval = Math.max(50, leaseMs / 3);

  function lose(entry: Entry): void {
    entry.abort(new LeaseLost(entry.message.id));
  }

  async function extend(): Promise<void> {
    const before = clock.now();
    const asked = entries.filter((entry) => !entry.aborted);
    const kept = new Set(
      await outbox.extend(
        asked.map((entry) => entry.message),
        leaseMs,
      ),
    );
    for (const entry of asked) {
      if (kept.has(entry.message.id)) entry.until = before + leaseMs;
      else if (entry.place >= 0) lose(entry); // else it was settled meanwhile
    }
  }

  return {
    hold(message, since) {
      const entry = new Entry(message, since + leaseMs, clock, entries.length);
      entries.push(entry);
      return entry;
    },
    giveBack() {
      for (const entry of entries.slice()) entry.abort(new GivenBack());
    },
    drop(held) {
      const entry = held as Entry;
      if (entry.place < 0) return;
      const last = entries.pop()!;
      if (last !== entry) entries[(last.place = entry.place)] = last;
      entry.place = -1;
    },
    async renew() {
      try {
        if (entries.length > 0) await extend();
        return interval;
      } finally {
        for (const entry of entries.filter(({ until }) => clock.now() >= until)) lose(entry);
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

class GivenBack extends Error {
  override readonly name = 'GivenBack';
  constructor() {
    super('the worker is shutting down and gives back what it holds');
  }
}
