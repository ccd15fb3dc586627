// One attempt as a pipeline: hold the lease → deliver → settlement → recorded → told. What a handler wrote in its transaction commits
// together with the settlement, or not at all: a worker that lost its lease leaves no trace in the database (invariant C).

import type { Executor } from '../db/executor.ts';
import type { Conflicts } from '../delivery/conflict.ts';
import type { Delivery, Deliver } from '../delivery/delivery.ts';
import type { ClaimedMessage } from '../outbox/message.ts';
import type { Nudge } from '../outbox/nudge.ts';
import type { Failure, Settlement } from '../outbox/outcome.ts';
import type { OutboxPort, Settled } from '../outbox/port.ts';
import { settle } from '../outbox/transitions.ts';
import type { Clock, Milliseconds, Random } from '../ports.ts';
import type { Gatekeeper } from './gatekeeper.ts';
import type { Held, Leases } from './lease.ts';
import { endOf, givenBack, outcomeOf, placesOf, recordEnd } from './end.ts';
import { report, type AttemptEvents } from './report.ts';
import type { Settler } from './settler.ts';
import type { Slot } from './slots.ts';
import type { Turn } from './turn.ts';

export type AttemptPorts = {
  readonly leases: Leases;
  readonly gatekeeper: Gatekeeper;
  readonly settler: Settler;
  readonly deliver: Deliver;
  readonly outboxOn: (tx: Executor) => OutboxPort;
  readonly events: AttemptEvents;
  readonly conflicts?: Conflicts | undefined;
  readonly clock: Clock;
  readonly random: Random;
  /** Called when a settlement made new messages. */
  readonly nudge: Nudge;
};

/**
 * Ends by telling its slot. Its steps call one another: each promise is a twentieth of what a short attempt leaves to collect, and most need
 * none but that of their delivery.
 */
export class Attempt {
  readonly #message: ClaimedMessage;
  readonly #ports: AttemptPorts;
  readonly #slot: Slot;
  readonly #turn: Turn | undefined;
  readonly #lease: Held;
  #started: Milliseconds = 0;
  #begun = false;

  /** @param since the process's time before the claim was sent */
  constructor(message: ClaimedMessage, since: Milliseconds, ports: AttemptPorts, slot: Slot, turn?: Turn) {
    this.#message = message;
    this.#ports = ports;
    this.#slot = slot;
    this.#turn = turn;
    this.#lease = ports.leases.hold(message, since);
  }

  begin(): void {
    if (!this.#turn) return this.#deliver(true);
    this.#turn.come(this.#lease.signal).then(
      (came) => this.#deliver(came),
      (error: unknown) => this.#end(error),
    );
  }

  #deliver(came: boolean): void {
    const { clock, deliver } = this.#ports;
    try {
      this.#started = clock.now();
      // Where the lease may have run out, the release changes nothing if it has (invariant C), and saves the attempt if it has not.
      if (!came || !this.#lease.isSafe()) return this.#delivered(givenBack);
      this.#begun = true;
      const handover = deliver(this.#message, this.#lease.signal);
      (this.#turn?.spend(handover) ?? handover).then(
        (delivery) => this.#delivered(endOf(delivery, this.#lease.signal)),
        (error: unknown) => this.#end(error),
      );
    } catch (error) {
      this.#end(error);
    }
  }

  #delivered(given: Delivery): void {
    const { random, settler, conflicts } = this.#ports;
    const outcome = outcomeOf(this.#message, given, conflicts);
    const delivery = outcome === given.outcome ? given : { ...given, outcome };
    const { backoff, retryDelay, work } = delivery;
    try {
      const begun = work?.begun() === true;
      if (!begun) this.#slot.leave();
      const end = settle(this.#message, outcome, backoff, random, retryDelay);
      const tells = this.#message.probe || end.to !== 'delivered'; // of its queue
      if (tells || begun) void this.#record(end, delivery);
      else settler.record(end, (settled) => this.#recorded(end, delivery, settled));
    } catch (error) {
      this.#end(error);
    }
  }

  /** What is not a plain end: its queue hears of it, or it commits together with what the handler wrote. */
  async #record(end: Settlement, delivery: Delivery): Promise<void> {
    try {
      const { gatekeeper, random } = this.#ports;
      const { outcome, backoff, retryDelay } = delivery;
      const own = (failure: Failure): Settlement =>
        settle(this.#message, { type: 'failure', failure }, backoff, random, retryDelay);
      const settlement = await gatekeeper.judge(this.#message, outcome, end, own);
      this.#recorded(settlement, delivery, await recordEnd(settlement, delivery, this.#ports));
    } catch (error) {
      this.#end(error);
    }
  }

  #recorded(settlement: Settlement, delivery: Delivery, settled: Settled | undefined): void {
    const { clock, events, nudge } = this.#ports;
    const [message, begun, ms] = [this.#message, this.#begun, clock.now() - this.#started];
    try {
      const places = settled ? placesOf(settlement, delivery) : [];
      if (places.length > 0) nudge(places);
      report({ message, settlement, settled, ms, begun }, events);
    } catch (error) {
      return this.#end(error);
    }
    this.#end();
  }

  #end(error?: unknown): void {
    this.#ports.leases.drop(this.#lease);
    this.#slot.end(error);
  }
}
