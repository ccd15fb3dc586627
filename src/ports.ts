// The few types that every folder may import, for values that a module is given instead of importing them.

/** A duration in milliseconds. */
export type Milliseconds = number;

/** A process's own clock, only for measuring durations and for timers. Due times belong to the database (invariant H). */
export type Clock = {
  /** Milliseconds that only increase, unrelated to the calendar. */
  now(): Milliseconds;
};

/** A number in [0, 1). */
export type Random = () => number;

/** Called for each step of a loop. The default does nothing; tests wait for steps instead of sleeping. */
export type Observe = (step: string, facts?: Record<string, unknown>) => void;

/** A signal to end work: an AbortSignal, or an equivalent that costs less to create. */
export type Interrupt = {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: AbortListener, options?: { readonly once?: boolean }): void;
  removeEventListener(type: 'abort', listener: AbortListener): void;
};

/** A function, or an object with `handleEvent` (DOM: EventListenerObject), which needs no function of its own. */
export type AbortListener = (() => void) | { handleEvent(): void };
