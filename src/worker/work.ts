// The work of a slot: a claimed message, attempted or given back, and in flight until then.

import type { ClaimedMessage } from '../outbox/message.ts';
import type { Milliseconds } from '../ports.ts';
import type { InFlight } from '../process/isolation.ts';
import { Attempt, type AttemptPorts } from './attempt.ts';
import { giveBack } from './give-back.ts';
import type { ReleaseCause } from './report.ts';
import type { Mark, Slot, Work } from './slots.ts';
import type { Turn } from './turn.ts';

export type WorkPorts = {
  /** The process's time before the claim was sent. */
  readonly since: Milliseconds;
  readonly turn: Turn | undefined;
  readonly mark: Mark;
  readonly attempts: AttemptPorts;
  readonly ended: (work: ClaimedWork) => void;
};

/** A class, because one is made for each message: its methods are made once. */
export class ClaimedWork implements Work, InFlight {
  readonly message: ClaimedMessage;
  readonly at: Milliseconds;
  readonly mark: Mark | undefined;
  readonly #ports: WorkPorts;

  constructor(message: ClaimedMessage, ports: WorkPorts) {
    this.message = message;
    this.at = ports.attempts.clock.now();
    this.mark = message.prefetched ? ports.mark : undefined;
    this.#ports = ports;
  }

  get priority(): number {
    return this.message.priority ?? 0;
  }

  get queue(): string {
    return this.message.queue;
  }

  run(slot: Slot): void {
    const { since, attempts, turn } = this.#ports;
    new Attempt(this.message, since, attempts, slot, turn).begin();
  }

  giveBack(cause: ReleaseCause): Promise<void> {
    return giveBack(this.message, this.#ports.attempts, cause, this.#ports.turn);
  }

  ended(): void {
    this.#ports.ended(this);
  }
}
