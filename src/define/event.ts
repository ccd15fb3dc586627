// An event: something that happened, told to every listener.

import type { z } from 'zod';
import { checkOptions, checkPayloadSchema } from './shape.ts';

export type Event<S extends z.ZodType = z.ZodType> = {
  readonly kind: 'event';
  readonly name: string;
  readonly payload: S;
};

export type EventOptions<S extends z.ZodType> = {
  /** In the past tense, such as `order.placed`. */
  readonly name: string;
  readonly payload: S;
};

/** The queue that every event travels through; its listeners may name another. */
export const eventQueue = 'events';

export function defineEvent<S extends z.ZodType>(options: EventOptions<S>): Event<S> {
  const what = `event ${options.name}`;
  checkOptions(what, options, ['name', 'payload']);
  checkPayloadSchema(what, options.payload);
  return Object.freeze({ kind: 'event', name: options.name, payload: options.payload });
}
