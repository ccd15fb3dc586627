// An interrupt that its maker ends: one is made for each attempt, and an AbortController for each would be a tenth of a short attempt.

import type { AbortListener, Interrupt } from '../ports.ts';

/** A class, because an object with getters of its own costs V8 a shape of its own, for each message. */
export class Interruption implements Interrupt {
  aborted = false;
  reason: unknown = undefined;
  #listeners: AbortListener[] | undefined = undefined;

  addEventListener(_: 'abort', listener: AbortListener): void {
    if (this.#listeners) this.#listeners.push(listener);
    else this.#listeners = [listener]; // an empty array would grow by seventeen places
  }

  removeEventListener(_: 'abort', listener: AbortListener): void {
    if (this.#listeners?.at(-1) === listener) return void this.#listeners.pop(); // splice makes an array of what it takes
    const place = this.#listeners?.indexOf(listener) ?? -1;
    if (place >= 0) this.#listeners!.splice(place, 1);
  }

  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    const told = this.#listeners ?? [];
    this.#listeners = undefined;
    for (const listener of told) {
      if (typeof listener === 'function') listener();
      else listener.handleEvent();
    }
  }
}
