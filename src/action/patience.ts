// The end of patience with a handler: its signal aborts, and whoever waits for it goes on. One that never returns holds nobody.

import type { Interrupt, Milliseconds } from '../ports.ts';

export type Patience = {
  /** The handler's `ctx.signal`. */
  readonly signal: AbortSignal;
  /** Gives what the work gives; rejects with the signal's reason when it aborts before. The work may go on; nobody waits for it. */
  race<T>(work: Promise<T>): Promise<T>;
  /** Takes timer and listeners away: signals that live as long as the process must not keep what has ended. */
  stop(): void;
};

export type Timeout = { readonly ms: Milliseconds; readonly what: string };

/**
 * @param outer any of them ends it
 * @param timeout and so does the time, counted from now
 */
export function createPatience(outer: readonly (Interrupt | undefined)[], timeout: Timeout | null): Patience {
  let own: AbortController | undefined; // most handlers never ask
  let over: { readonly reason: unknown } | undefined;
  const { promise: cut, reject } = Promise.withResolvers<never>();
  cut.catch(() => undefined); // told through the race; before it begins, nobody listens yet
  // Methods, not arrows: tsx names each arrow anew for each message.
  const on = {
    end(reason: unknown) {
      over ??= { reason };
      own?.abort(reason);
      reject(reason);
    },
    abort() {
      on.end(outer.find((signal) => signal?.aborted)?.reason);
    },
  };
  for (const signal of outer) {
    if (signal?.aborted) on.abort();
    else signal?.addEventListener('abort', on.abort, { once: true });
  }
  // Not AbortSignal.timeout and .any: Node keeps those alive until they fire.
  const timer = timeout ? setTimeout(() => on.end(new TimedOut(timeout)), timeout.ms) : undefined;
  return {
    get signal() {
      own ??= new AbortController();
      if (over) own.abort(over.reason);
      return own.signal;
    },
    race(work) {
      return Promise.race([work, cut]);
    },
    stop() {
      clearTimeout(timer);
      for (const signal of outer) signal?.removeEventListener('abort', on.abort);
    },
  };
}

export class TimedOut extends Error {
  override readonly name = 'TimedOut';
  constructor({ ms, what }: Timeout) {
    super(`${what} took longer than its timeout of ${ms} ms`);
  }
}
