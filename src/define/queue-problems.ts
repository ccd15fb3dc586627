// The queues of an application: which definitions may share one, and which limits have nobody to limit.

import { nearest } from '../nearest.ts';
import type { Endpoint } from './endpoint.ts';
import { eventQueue } from './event.ts';
import { jobQueue, type Job } from './job.ts';
import type { Listener } from './listener.ts';
import { emailQueue, webhookName, webhookQueue } from './messages.ts';
import type { Queue } from './queue.ts';

type Lists = {
  readonly listeners: readonly Listener[];
  readonly jobs: readonly Job[];
  readonly endpoints: readonly Endpoint[];
};

export const queueProblems = (queues: readonly Queue[], lists: Lists): string[] => [
  ...webhookNames(lists),
  ...sharedQueues(lists),
  ...limitProblems(queues, lists),
];

/** The messages of endpoints are jobs, in a queue of their own. */
function webhookNames({ jobs, listeners, endpoints }: Lists): string[] {
  const names = endpoints.flatMap((one) => (one ? [webhookName(one.name), one.parkedJob?.name] : []));
  return [
    ...jobs
      .filter((job) => job && names.includes(job.name))
      .map(({ name }) => `job ${name} has the name of an endpoint's messages`),
    ...[...jobs, ...listeners]
      .filter((one) => endpoints.length > 0 && one?.queue === webhookQueue)
      .map(({ kind, name }) => `${kind} ${name}: the queue ${webhookQueue} is for webhooks alone`),
  ];
}

/** A job with `concurrency` must not share its queue: its limit bounds each claim and would delay other messages. */
function sharedQueues({ listeners, jobs }: Lists): string[] {
  const handlers = [...listeners, ...jobs].filter((one) => one !== undefined);
  return jobs.flatMap((job) => {
    if (job?.concurrency === undefined) return [];
    const { name, queue } = job;
    const standard = [emailQueue, eventQueue, jobQueue].includes(queue) ? [`everything in ${queue}`] : [];
    const others = handlers
      .filter((one) => one !== job && one.queue === queue)
      .map((one) => `${one.kind} ${one.name}`);
    const [other] = [...standard, ...others];
    return other === undefined
      ? []
      : [
          `job ${name} has a concurrency and shares the queue ${queue} with ${other}: give it a queue of its own, or leave \`queue\` out and it is named after the job`,
        ];
  });
}

/** A queue is defined once, and something records messages in it. */
function limitProblems(queues: readonly Queue[], { listeners, jobs, endpoints }: Lists): string[] {
  const webhooks = endpoints.length > 0 ? [webhookQueue] : [];
  const used = [
    emailQueue,
    eventQueue,
    jobQueue,
    ...webhooks,
    ...[...listeners, ...jobs].map((one) => one?.queue),
  ];
  return queues.flatMap((queue, i) => {
    if (queue?.kind !== 'queue') return [`queues[${i}] is not made by defineQueue`];
    const { name, limits } = queue;
    const job = jobs.find((one) => one?.queue === name && one.concurrency !== undefined);
    return [
      ...(queues.findIndex((other) => other?.name === name) < i ? [`queue ${name} is there twice`] : []),
      ...(used.includes(name)
        ? []
        : [`queue ${name} has limits, but no job or listener is in it: ${known(name, used)}`]),
      ...(job && limits.concurrencyPerProcess !== undefined
        ? [`queue ${name} has concurrencyPerProcess and its job ${job.name} has concurrency: say it once`]
        : []),
    ];
  });
}

function known(name: string, used: readonly (string | undefined)[]): string {
  const names = [...new Set(used.filter((one) => one !== undefined))];
  const meant = nearest(name, names);
  return meant ? `did you mean ${meant}?` : `there are ${names.join(', ')}`;
}
