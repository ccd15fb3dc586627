// The deadline of a handler. At the deadline its signal aborts and its slot is freed, even if it never returns.

import type { Interrupt, Milliseconds } from '../ports.ts';
import { after, type Timer } from '../timer.ts';

export type Deadline = {
  /** The handler's `ctx.signal`. */
  readonly signal: AbortSignal;
  /** Resolves or rejects with the work; rejects with the signal's reason when it aborts first. The work itself is not stopped. */
  race<T>(work: PromiseLike<T>): Promise<T>;
  /** Like `race`, without a promise. Calls `ended` or `failed` when the work ends, `failed` at the deadline; only the first call counts. */
  wait<T>(work: PromiseLike<T> | T, ended: (result: T) => void, failed: (reason: unknown) => void): void;
  /** Sets the timeout, counted from now. */
  limit(timeout: Timeout): void;
  /** Removes the timer and the listeners: long-lived signals must not keep an ended deadline in memory. */
  stop(): void;
};

export type Timeout = { readonly ms: Milliseconds; readonly what: string };

/** @param outer signals; the first that aborts ends the deadline */
export function createDeadline(outer: readonly (Interrupt | undefined)[]): Deadline {
  return new Waiting(outer);
}

/** A class, because V8 creates a new shape for each object with its own getters. It is itself the listener of the signals. */
class Waiting implements Deadline {
  readonly #outer: readonly (Interrupt | undefined)[];
  #timer: Timer | undefined = undefined;
  #own: AbortController | undefined = undefined; // most handlers never use their signal
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

  /** Not AbortSignal.timeout or .any: Node keeps those in memory until they fire. */
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
    // A handler may return a promise, a thenable, a value or nothing.
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
