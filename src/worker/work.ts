// The work of a slot: a claimed message, attempted or given back.

import type { ClaimedMessage } from '../outbox/message.ts';
import type { Milliseconds } from '../ports.ts';
import { Attempt, type AttemptPorts } from './attempt.ts';
import { giveBack } from './give-back.ts';
import type { Slot, Work } from './slots.ts';
import type { Turn } from './turn.ts';

/** A class, because one is made for each message: its methods are made once. */
export class ClaimedWork implements Work {
  readonly #message: ClaimedMessage;
  readonly #since: Milliseconds;
  readonly #turn: Turn | undefined;
  readonly #attempts: AttemptPorts;
  readonly #ended: (message: ClaimedMessage) => void;

  constructor(
    message: ClaimedMessage,
    since: Milliseconds,
    turn: Turn | undefined,
    attempts: AttemptPorts,
    ended: (message: ClaimedMessage) => void,
  ) {
    this.#message = message;
    this.#since = since;
    this.#turn = turn;
    this.#attempts = attempts;
    this.#ended = ended;
  }

  get priority(): number {
    return this.#message.priority ?? 0;
  }

  run(slot: Slot): void {
    new Attempt(this.#message, this.#since, this.#attempts, slot, this.#turn).begin();
  }

  giveBack(): Promise<void> {
    return giveBack(this.#message, this.#attempts, this.#turn);
  }

  ended(): void {
    this.#ended(this.#message);
  }
}
