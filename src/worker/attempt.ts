// One attempt, from the claim to its recorded end: hold the lease → deliver → settle → report. What a handler wrote in its transaction commits
// together with the settlement, or not at all. So a worker that lost its lease leaves no trace in the database (invariant C).

import type { Executor } from '../db/executor.ts';
import { failureOf, type Conflicts } from '../delivery/failure.ts';
import type { Delivery, Deliver } from '../delivery/delivery.ts';
import { defaultBackoff } from '../message/backoff.ts';
import type { ClaimedMessage } from '../message/message.ts';
import { placeOf, type Notify } from '../outbox/notify.ts';
import type { Failure, Outcome, Settlement } from '../message/outcome.ts';
import type { OutboxPort, Settled } from '../outbox/port.ts';
import { settle } from '../message/transitions.ts';
import type { Clock, Milliseconds, Random } from '../ports.ts';
import type { InFlight } from '../process/isolation.ts';
import type { QueueCloser } from './queue-closer.ts';
import { Interruption, type Leased, type Leases } from './lease.ts';
import {
  concernsQueue,
  endOf,
  outcomeOf,
  placesOf,
  recordEnd,
  released,
  report,
  type AttemptEvents,
  type ReleaseCause,
} from './end.ts';
import type { Settler, Settling } from './settler.ts';
import type { Seats, Work } from './slots.ts';
import type { BookedPermit } from './permits.ts';

export type AttemptPorts = {
  readonly leases: Leases;
  readonly closer: QueueCloser;
  readonly settler: Settler;
  readonly deliver: Deliver;
  readonly outboxOn: (tx: Executor) => OutboxPort;
  readonly events: AttemptEvents;
  readonly conflicts?: Conflicts | undefined;
  readonly clock: Clock;
  readonly random: Random;
  /** Called when a settlement recorded new messages. */
  readonly notify: Notify;
};

/**
 * The one object for a message in its worker: it has the slot, the lease and the signal of the delivery. Its steps call one another without
 * promises: each is a twentieth of the garbage of a short attempt. Most attempts need only that of their delivery.
 */
export class Attempt extends Interruption implements Work, Leased, InFlight, Settling {
  readonly message: ClaimedMessage;
  /** When the claim was answered, by the process's clock. */
  readonly at: Milliseconds;
  until: Milliseconds = 0;
  place = -1;
  began: Milliseconds = 0;
  overAt: Milliseconds | undefined = undefined;
  isReady: boolean;
  readonly #since: Milliseconds;
  readonly #ports: AttemptPorts;
  readonly #seats: Seats;
  readonly #permit: BookedPermit | undefined;
  #started: Milliseconds = 0;
  #begun = false;
  #end: Settlement | undefined = undefined;
  #delivery: Delivery | undefined = undefined;

  /** @param since when the claim was sent, by the process's clock */
  constructor(
    message: ClaimedMessage,
    since: Milliseconds,
    ports: AttemptPorts,
    seats: Seats,
    permit?: BookedPermit,
  ) {
    super();
    this.message = message;
    this.at = ports.clock.now();
    this.isReady = message.prefetched !== true;
    this.#since = since;
    this.#ports = ports;
    this.#seats = seats;
    this.#permit = permit;
  }

  get priority(): number {
    return this.message.priority ?? 0;
  }

  get queue(): string {
    return this.message.queue;
  }

  /** Called with a slot. */
  run(): void {
    this.#ports.leases.hold(this, this.#since);
    if (!this.#permit) return this.#deliver(true);
    this.#permit.come(this).then(
      (came) => this.#deliver(came),
      (error: unknown) => this.#over(error),
    );
  }

  /** Called instead of `run`: the attempt does not count, and the message is due again at once. */
  async release(cause: ReleaseCause): Promise<void> {
    const { settler, random, notify, events } = this.#ports;
    const { message } = this;
    await this.#permit?.come(AbortSignal.abort());
    this.overAt = this.#ports.clock.now();
    const settlement = settle(message, released.outcome, released.backoff, random);
    const settled = await settler.settle(settlement);
    notify([placeOf(message)]);
    report({ message, settlement, settled, ms: 0, begun: false, cause }, events);
  }

  #deliver(came: boolean): void {
    const { clock, deliver, leases } = this.#ports;
    try {
      this.#started = clock.now();
      // If the lease has run out, the release changes nothing (invariant C). If it has not, the release saves the attempt.
      if (!came || !leases.isSafe(this)) return this.#delivered(released);
      this.#begun = true;
      const handover = deliver(this.message, this);
      (this.#permit?.spend(handover) ?? handover).then(
        (delivery) => this.#delivered(endOf(delivery, this)),
        (error: unknown) => this.#threw(error),
      );
    } catch (error) {
      this.#threw(error);
    }
  }

  /** A delivery must not throw. One that does is settled all the same: else its lease would run out, and it would run again as a suspect. */
  #threw(error: unknown): void {
    const outcome: Outcome = { type: 'failure', failure: failureOf(error) };
    this.#delivered(endOf({ outcome, backoff: defaultBackoff }, this));
  }

  #delivered(given: Delivery): void {
    const { random, settler, conflicts, clock } = this.#ports;
    this.overAt = clock.now();
    const outcome = outcomeOf(this.message, given, conflicts);
    const delivery = outcome === given.outcome ? given : { ...given, outcome };
    const { backoff, retryDelay, work } = delivery;
    try {
      const isInTransaction = work?.begun() === true;
      if (!isInTransaction) this.#seats.leave(this);
      const end = settle(this.message, outcome, backoff, random, retryDelay);
      this.#end = end;
      this.#delivery = delivery;
      if (isInTransaction || delivery.group || concernsQueue(this.message, outcome))
        void this.#record(end, delivery);
      else settler.record(end, this);
    } catch (error) {
      this.#over(error);
    }
  }

  /** For an end that may close its queue, or that commits together with what the handler wrote. */
  async #record(end: Settlement, delivery: Delivery): Promise<void> {
    try {
      const { closer, random } = this.#ports;
      const { outcome, backoff, retryDelay, group } = delivery;
      const own = (failure: Failure): Settlement =>
        settle(this.message, { type: 'failure', failure }, backoff, random, retryDelay);
      const settlement = concernsQueue(this.message, outcome)
        ? await closer.judge(this.message, outcome, end, own)
        : end;
      this.#end = settlement;
      if (group) await closer.groupEnded(this.message, group);
      this.recorded(await recordEnd(settlement, delivery, this.#ports));
    } catch (error) {
      this.#over(error);
    }
  }

  recorded(settled: Settled | undefined): void {
    const { clock, events, notify } = this.#ports;
    const { message } = this;
    const [settlement, begun, ms] = [this.#end!, this.#begun, clock.now() - this.#started];
    try {
      const places = settled ? placesOf(settlement, this.#delivery!) : [];
      if (places.length > 0) notify(places);
      report({ message, settlement, settled, ms, begun }, events);
    } catch (error) {
      return this.#over(error);
    }
    this.#over();
  }

  #over(error?: unknown): void {
    this.#ports.leases.drop(this);
    this.#seats.end(this, error);
  }
}
