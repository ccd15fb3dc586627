// The few types that every folder may import: what a module is given instead of reaching for it.

/** A duration in milliseconds. */
export type Milliseconds = number;

/** Where a process reads its own time. Only for measuring durations and for timers: due times belong to the database (invariant H). */
export type Clock = {
  /** Milliseconds that only go forward; no relation to the calendar. */
  now(): Milliseconds;
};

/** A number in [0, 1). */
export type Random = () => number;

/** Hears of the steps of a loop. The default does nothing; tests wait on it instead of sleeping. */
export type Observe = (step: string, facts?: Record<string, unknown>) => void;

/** What tells work to end: an AbortSignal, or what is as good and costs less to make. */
export type Interrupt = {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: AbortListener, options?: { readonly once?: boolean }): void;
  removeEventListener(type: 'abort', listener: AbortListener): void;
};

/** A function, or an object that hears for itself (DOM: EventListenerObject): it needs no function of its own. */
export type AbortListener = (() => void) | { handleEvent(): void };
