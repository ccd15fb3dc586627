// The deadline of a handler: its signal aborts, and the engine stops waiting for it. A handler that never returns does not keep its slot.

import type { Interrupt, Milliseconds } from '../ports.ts';
import { after, type Timer } from '../timer.ts';

export type Deadline = {
  /** The handler's `ctx.signal`. */
  readonly signal: AbortSignal;
  /** Gives what the work gives; rejects with the signal's reason when it aborts before. The work may go on; nobody waits for it. */
  race<T>(work: PromiseLike<T>): Promise<T>;
  /** The same without a promise of its own: one of the two is called at the end of the work, `failed` also at the deadline; the first call counts. */
  wait<T>(work: PromiseLike<T> | T, ended: (result: T) => void, failed: (reason: unknown) => void): void;
  /** It ends after this time, counted from now. */
  limit(timeout: Timeout): void;
  /** Takes timer and listeners away: signals that live as long as the process must not keep what has ended. */
  stop(): void;
};

export type Timeout = { readonly ms: Milliseconds; readonly what: string };

/** @param outer any of them ends it */
export function createDeadline(outer: readonly (Interrupt | undefined)[]): Deadline {
  return new Waiting(outer);
}

/** A class, because an object with getters of its own costs V8 a shape of its own, for each message. It hears the signals itself. */
class Waiting implements Deadline {
  readonly #outer: readonly (Interrupt | undefined)[];
  #timer: Timer | undefined = undefined;
  #own: AbortController | undefined = undefined; // most handlers never ask
  #over: { readonly reason: unknown } | undefined = undefined;
  #cut: ((reason: unknown) => void) | undefined = undefined;

  constructor(outer: readonly (Interrupt | undefined)[]) {
    this.#outer = outer;
    for (const signal of outer) {
      if (signal?.aborted) this.handleEvent();
      else signal?.addEventListener('abort', this, { once: true });
    }
  }

  handleEvent(): void {
    this.#end(this.#outer.find((signal) => signal?.aborted)?.reason);
  }

  /** Not AbortSignal.timeout and .any: Node keeps those alive until they fire. */
  limit(timeout: Timeout): void {
    this.#timer = after(timeout.ms, () => this.#end(new TimedOut(timeout)));
  }

  #end(reason: unknown): void {
    this.#over ??= { reason };
    this.#own?.abort(reason);
    this.#cut?.(reason);
  }

  get signal(): AbortSignal {
    this.#own ??= new AbortController();
    if (this.#over) this.#own.abort(this.#over.reason);
    return this.#own.signal;
  }

  race<T>(work: PromiseLike<T>): Promise<T> {
    return new Promise((resolve, reject) => this.wait(work, resolve, reject));
  }

  wait<T>(work: PromiseLike<T> | T, ended: (result: T) => void, failed: (reason: unknown) => void): void {
    this.#cut = failed;
    if (this.#over) failed(this.#over.reason);
    // Handlers are other people's code: they may give a promise, what is only like one, a value, or nothing.
    const promise = work instanceof Promise ? (work as Promise<T>) : Promise.resolve(work);
    promise.then(ended, failed);
  }

  stop(): void {
    this.#timer?.stop();
    for (const signal of this.#outer) signal?.removeEventListener('abort', this);
  }
}

export class TimedOut extends Error {
  override readonly name = 'TimedOut';
  constructor({ ms, what }: Timeout) {
    super(`${what} took longer than its timeout of ${ms} ms`);
  }
}
