// An interrupt that its maker ends: one is made for each attempt, and an AbortController for each would be a tenth of a short attempt.

import type { Interrupt } from '../ports.ts';

export type OwnInterrupt = Interrupt & { abort(reason: unknown): void };

export function createInterrupt(): OwnInterrupt {
  let over: { readonly reason: unknown } | undefined;
  let listeners: (() => void)[] = [];
  return {
    get aborted() {
      return over !== undefined;
    },
    get reason() {
      return over?.reason;
    },
    addEventListener(_, listener) {
      listeners.push(listener);
    },
    removeEventListener(_, listener) {
      listeners = listeners.filter((one) => one !== listener);
    },
    abort(reason) {
      if (over) return;
      over = { reason };
      const told = listeners;
      listeners = [];
      for (const listener of told) listener();
    },
  };
}
