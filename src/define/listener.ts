// Definitions of listeners: a listener handles one event, with its own messages and attempts.

import type { z } from 'zod';
import type { OnDead } from '../message/flow.ts';
import { sealOptions, type SealOptions, type Sealing } from '../message/seal.ts';
import type { HandlerContext } from './context.ts';
import { eventQueue, type Event } from './event.ts';
import { retryPolicy, type RetryPolicy, type RetryOptions } from './retry.ts';
import { checkOptions, onDeadOf, refuseDefinition, sealingOf, titleOf } from './shape.ts';

/** A listener as `defineListener` makes it. */
export type Listener<S extends z.ZodType = z.ZodType> = {
  readonly kind: 'listener';
  /** Unique among the listeners of the application. */
  readonly name: string;
  /** The event that it handles. */
  readonly event: Event<S>;
  readonly queue: string;
  readonly retry: RetryPolicy;
  readonly onDead: OnDead;
  /** Handles one event. The message is delivered when it returns; when it throws, the retry policy decides. */
  handler(ctx: HandlerContext, payload: z.output<S>): Promise<void> | void;
} & Sealing;

/** What `defineListener` takes. */
export type ListenerOptions<S extends z.ZodType> = Pick<Listener<S>, 'name' | 'event' | 'handler'> &
  SealOptions & {
    /** Default `events`. */
    readonly queue?: string;
    /** How often it is attempted, and the delays between attempts. */
    readonly retry?: RetryOptions;
    /** What happens to messages with the same order key when one is dead: they wait for a person (`block`, the default), or go on (`skip`). */
    readonly onDead?: OnDead;
  };

/**
 * Defines a listener. Each recorded event becomes one message for each of its listeners.
 * @throws WaybillError `definition_invalid`
 */
export function defineListener<S extends z.ZodType>(options: ListenerOptions<S>): Listener<S> {
  const what = titleOf('listener', options);
  checkOptions(what, options, ['name', 'event', 'queue', 'retry', 'onDead', ...sealOptions, 'handler']);
  const { name, event, handler, queue = eventQueue } = options;
  if (event?.kind !== 'event') refuseDefinition(what, 'event must be made by defineEvent');
  if (typeof handler !== 'function') refuseDefinition(what, 'handler must be a function');
  return Object.freeze({
    kind: 'listener',
    name,
    event,
    queue,
    retry: retryPolicy(what, options.retry),
    onDead: onDeadOf(what, options.onDead),
    // Whoever must not read the event must not read what its listeners get.
    ...sealingOf(what, {
      sensitive: event.sensitive,
      ...(event.sensitive && { keep: event.keep }),
      ...options,
    }),
    handler,
  });
}
