// Definitions of events: an event says that something happened, and every listener gets it.

import type { z } from 'zod';
import { sealOptions, type SealOptions, type Sealing } from '../message/seal.ts';
import { checkOptions, checkPayloadSchema, sealingOf, titleOf } from './shape.ts';

/** `N` is the event's name, so that events with the same payload have different types. */
export type Event<S extends z.ZodType = z.ZodType, N extends string = string> = {
  readonly kind: 'event';
  /** In the past tense, such as `order.placed`. */
  readonly name: N;
  /** The schema of the payload. */
  readonly payload: S;
} & Sealing;

/** The queue of every event. Its listeners may have other queues. */
export const eventQueue = 'events';

/**
 * Defines an event. List it in the `emits` of the actions that record it.
 * @throws WaybillError `definition_invalid`
 */
export function defineEvent<S extends z.ZodType, const N extends string>(
  options: Pick<Event<S, N>, 'name' | 'payload'> & SealOptions,
): Event<S, N> {
  const what = titleOf('event', options);
  checkOptions(what, options, ['name', 'payload', ...sealOptions]);
  checkPayloadSchema(what, options.payload);
  return Object.freeze({
    kind: 'event',
    name: options.name,
    payload: options.payload,
    ...sealingOf(what, options),
  });
}
