// The metric labels of an application, known from its definitions. Their series are published as zero at the start.

import { standardQueues } from '../define/registry.ts';
import type { App } from '../define/app.ts';
import { webhookQueue } from '../define/messages.ts';
import type { KnownLabels } from '../metrics/initial.ts';

const { email, events, jobs } = standardQueues;

/** The labels of every fleet, for a process that does not load the application. */
export const standardLabels: KnownLabels = {
  routes: [
    { kind: 'email', queue: email },
    { kind: 'event', queue: events },
    { kind: 'job', queue: jobs },
  ],
  cronJobs: [],
  providers: [],
};

/** @param providers the configured email providers; none: the application's own, or `log` */
export function labelsOf(app: App, providers: readonly string[]): KnownLabels {
  const queuesOf = (all: readonly { readonly queue: string }[]): string[] => [
    ...new Set(all.map(({ queue }) => queue)),
  ];
  const cronJobs = app.cron.jobs.map(({ name }) => name);
  return {
    routes: [
      ...standardLabels.routes,
      ...queuesOf(app.listeners).map((queue) => ({ kind: 'listener', queue })),
      ...queuesOf(app.jobs).flatMap((queue) => (queue === jobs ? [] : [{ kind: 'job', queue }])),
      ...(app.endpoints.length > 0 ? [{ kind: 'job', queue: webhookQueue }] : []),
      ...(cronJobs.length > 0 ? [{ kind: 'action', queue: jobs }] : []),
    ],
    cronJobs,
    providers: providers.length > 0 ? providers : [app.email.provider?.name ?? 'log'],
  };
}
