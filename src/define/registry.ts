// (kind, name) → definition, for those who deliver and those who enqueue.

import type { Retry } from './retry.ts';
import type { Action } from './action.ts';
import type { App } from './app.ts';
import { eventQueue, type Event } from './event.ts';
import { jobQueue, type Job } from './job.ts';
import type { Listener } from './listener.ts';

export type Registry = {
  action(name: string): Action | undefined;
  event(name: string): Event | undefined;
  job(name: string): Job | undefined;
  listener(name: string): Listener | undefined;
  /** In the order of the application. */
  listenersOf(event: string): readonly Listener[];
  actions(): readonly Action[];
  /** Every queue that a job or a listener names, and the two that are always there. */
  queues(): readonly string[];
  readonly emailRetry: Retry;
};

export function createRegistry(app: App): Registry {
  const byName = <T extends { readonly name: string }>(all: readonly T[]): Map<string, T> => new Map(all.map((one) => [one.name, one]));
  const actions = byName(app.actions);
  const events = byName(app.events);
  const jobs = byName(app.jobs);
  const listeners = byName(app.listeners);
  const listenersOf = Map.groupBy(app.listeners, (listener) => listener.event.name);
  const queues = new Set([eventQueue, jobQueue, ...app.listeners.map((l) => l.queue), ...app.jobs.map((j) => j.queue)]);
  return {
    action: (name) => actions.get(name),
    event: (name) => events.get(name),
    job: (name) => jobs.get(name),
    listener: (name) => listeners.get(name),
    listenersOf: (event) => listenersOf.get(event) ?? [],
    actions: () => app.actions,
    queues: () => [...queues],
    emailRetry: app.email.retry,
  };
}
