// Timers of any length. Node's setTimeout fires after one millisecond when the delay is above 2^31 − 1 ms, about 25 days
// (nodejs.org/api/timers.html); here a longer wait is a chain of shorter ones.

import type { Interrupt, Milliseconds } from './ports.ts';

const longest: Milliseconds = 2 ** 31 - 1;

export type Timer = {
  stop(): void;
  /** The timer does not keep the process alive. */
  unref(): Timer;
};

/** Calls `done` once, after `ms`. */
export function after(ms: Milliseconds, done: () => void): Timer {
  return new Chain(ms, done);
}

class Chain implements Timer {
  #left: Milliseconds;
  readonly #done: () => void;
  #timer: NodeJS.Timeout;
  #keeps = true;

  constructor(ms: Milliseconds, done: () => void) {
    this.#left = ms;
    this.#done = done;
    this.#timer = this.#link();
  }

  #link(): NodeJS.Timeout {
    if (!(this.#left > longest)) return setTimeout(this.#done, this.#left);
    this.#left -= longest;
    return setTimeout(() => {
      this.#timer = this.#link();
      if (!this.#keeps) this.#timer.unref();
    }, longest);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  unref(): Timer {
    this.#keeps = false;
    this.#timer.unref();
    return this;
  }
}

/** Aborts after `ms`. The caller stops it when it is no longer needed; AbortSignal.timeout cannot be stopped. */
export function deadline(ms: Milliseconds): { readonly signal: AbortSignal; stop(): void } {
  const controller = new AbortController();
  const timer = after(ms, () => controller.abort());
  return { signal: controller.signal, stop: () => timer.stop() };
}

/** Resolves after `ms`, or when the signal aborts. */
export function pause(ms: Milliseconds, signal?: Interrupt): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = (): void => {
      timer.stop();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = after(ms, done);
    signal?.addEventListener('abort', done);
  });
}
