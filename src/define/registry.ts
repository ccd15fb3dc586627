// The registry finds an application's definitions by kind and name, and lists their queues.

import type { Action } from './action.ts';
import { defineApp, type App, type AppOptions } from './app.ts';
import { eventQueue, type Event } from './event.ts';
import { jobQueue, type Job } from './job.ts';
import type { Listener } from './listener.ts';
import { emailQueue } from './messages.ts';
import type { Limits } from '../queues/limits.ts';

export function isRegistry(value: unknown): value is Registry {
  if (typeof value !== 'object' || value === null) return false;
  const { app, job } = value as Partial<Registry>;
  return app?.kind === 'app' && typeof job === 'function'; // checks the shape, because tests replace single definitions
}

/** The queues that every application has. */
export const standardQueues = { email: emailQueue, events: eventQueue, jobs: jobQueue } as const;

/** The definitions of an application, found by name. `defineOutboxRegistry` makes it. */
export type Registry = {
  /** The application that holds the definitions. */
  readonly app: App;
  /** The action of this name, if there is one. */
  action(name: string): Action | undefined;
  /** The event of this name, if there is one. */
  event(name: string): Event | undefined;
  /** The job of this name, if there is one. */
  job(name: string): Job | undefined;
  /** The listener of this name, if there is one. */
  listener(name: string): Listener | undefined;
  /** In the application's order. */
  listenersOf(event: string): readonly Listener[];
  /** `events`, `jobs`, and every queue that a job or a listener names. */
  readonly queues: readonly string[];
  /** The limits of queues that have some. */
  readonly limits: ReadonlyMap<string, Limits>;
  /** The most messages of a queue that one process works on at once: its `concurrencyPerProcess`, or its job's `concurrency`. */
  readonly perProcess: ReadonlyMap<string, number>;
  /** Added to the priorities of messages where a worker chooses between queues. */
  readonly priorities: ReadonlyMap<string, number>;
};

/**
 * Collects the definitions of an application that has its own framework, so that a drain can deliver its messages.
 * @throws WaybillError `app_invalid` with every problem as an issue
 */
export function defineOutboxRegistry(
  definitions: Pick<AppOptions, 'actions' | 'events' | 'listeners' | 'jobs' | 'queues' | 'email'>,
): Registry {
  return createRegistry(defineApp(definitions));
}

export function createRegistry(app: App): Registry {
  const actions = byName(app.actions);
  const events = byName(app.events);
  const jobs = byName(app.jobs);
  const listeners = byName(app.listeners);
  const listenersOf = Map.groupBy(app.listeners, (listener) => listener.event.name);
  const named = [...app.listeners, ...app.jobs].map(({ queue }) => queue);
  const limits = limitsOf(app);
  return {
    app,
    action: (name) => actions.get(name),
    event: (name) => events.get(name),
    job: (name) => jobs.get(name),
    listener: (name) => listeners.get(name),
    listenersOf: (event) => listenersOf.get(event) ?? [],
    queues: [...new Set([eventQueue, jobQueue, ...named])],
    limits,
    perProcess: new Map(
      [...limits].flatMap(([queue, { concurrencyPerProcess }]) =>
        typeof concurrencyPerProcess === 'number' ? [[queue, concurrencyPerProcess]] : [],
      ),
    ),
    priorities: new Map(app.queues.map(({ name, priority }) => [name, priority])),
  };
}

function limitsOf({ queues, jobs }: App): ReadonlyMap<string, Limits> {
  const limits = new Map(queues.map((queue) => [queue.name, queue.limits]));
  for (const { queue, concurrency } of jobs)
    if (concurrency !== undefined)
      limits.set(queue, { ...limits.get(queue), concurrencyPerProcess: concurrency });
  return limits;
}

function byName<T extends { readonly name: string }>(all: readonly T[]): ReadonlyMap<string, T> {
  return new Map(all.map((one) => [one.name, one]));
}
