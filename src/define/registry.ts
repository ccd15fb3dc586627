// The registry finds an application's definitions by kind and name, and lists their queues.

import type { Action } from './action.ts';
import type { Endpoint } from './endpoint.ts';
import { defineApp, type App, type AppOptions } from './app.ts';
import { eventQueue, type Event } from './event.ts';
import { jobQueue, type Job } from './job.ts';
import type { Listener } from './listener.ts';
import { emailQueue, webhookName, webhookQueue } from './messages.ts';
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
  /** The endpoint whose messages have this name (`webhook:…`), if there is one. */
  endpoint(messageName: string): Endpoint | undefined;
  /** The listener of this name, if there is one. */
  listener(name: string): Listener | undefined;
  /** In the application's order. */
  listenersOf(event: string): readonly Listener[];
  /** `events`, `jobs`, every queue that a job or a listener names, and `webhooks` where there are endpoints. */
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
  definitions: Pick<
    AppOptions,
    'actions' | 'events' | 'listeners' | 'jobs' | 'endpoints' | 'queues' | 'email'
  >,
): Registry {
  return createRegistry(defineApp(definitions));
}

export function createRegistry(app: App): Registry {
  const actions = byName(app.actions);
  const events = byName(app.events);
  const parked = app.endpoints.flatMap(({ parkedJob }) => (parkedJob ? [parkedJob] : []));
  const jobs = byName([...app.jobs, ...parked]);
  const endpoints = new Map(app.endpoints.map((endpoint) => [webhookName(endpoint.name), endpoint]));
  const listeners = byName(app.listeners);
  const listenersOf = Map.groupBy(app.listeners, (listener) => listener.event.name);
  const named = [...app.listeners, ...app.jobs].map(({ queue }) => queue);
  if (endpoints.size > 0) named.push(webhookQueue);
  const limits = limitsOf(app);
  return {
    app,
    action: (name) => actions.get(name),
    event: (name) => events.get(name),
    job: (name) => jobs.get(name),
    endpoint: (name) => endpoints.get(name),
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

/** Deliveries of one endpoint at a time, over the fleet. One that stops answering takes this many slots, once. */
const perEndpoint = 4;

function limitsOf({ queues, jobs, endpoints }: App): ReadonlyMap<string, Limits> {
  const limits = new Map(queues.map((queue) => [queue.name, queue.limits]));
  if (endpoints.length > 0)
    limits.set(webhookQueue, { groupConcurrency: perEndpoint, ...limits.get(webhookQueue) });
  for (const { queue, concurrency } of jobs)
    if (concurrency !== undefined)
      limits.set(queue, { ...limits.get(queue), concurrencyPerProcess: concurrency });
  return limits;
}

function byName<T extends { readonly name: string }>(all: readonly T[]): ReadonlyMap<string, T> {
  return new Map(all.map((one) => [one.name, one]));
}
