// An event: something that happened, told to every listener.

import type { z } from 'zod';
import { checkOptions, checkPayloadSchema, titleOf } from './shape.ts';

/** `N` is its name, so that the types tell two events with the same payload apart. */
export type Event<S extends z.ZodType = z.ZodType, N extends string = string> = {
  readonly kind: 'event';
  readonly name: N;
  readonly payload: S;
};

export type EventOptions<S extends z.ZodType, N extends string> = {
  /** In the past tense, such as `order.placed`. */
  readonly name: N;
  readonly payload: S;
};

/** The queue that every event travels through; its listeners may name another. */
export const eventQueue = 'events';

export function defineEvent<S extends z.ZodType, const N extends string>(
  options: EventOptions<S, N>,
): Event<S, N> {
  const what = titleOf('event', options);
  checkOptions(what, options, ['name', 'payload']);
  checkPayloadSchema(what, options.payload);
  return Object.freeze({ kind: 'event', name: options.name, payload: options.payload });
}
