// Initial values: every series that is known at the start is published as 0. If a counter first appears with its first failure, Prometheus sees no
// increase, so an alert on it would miss that failure.

import type { Metrics } from './catalogue.ts';

export type KnownLabels = {
  /** Which kinds use which queues. */
  readonly routes: readonly { readonly kind: string; readonly queue: string }[];
  readonly cronJobs: readonly string[];
  readonly providers: readonly string[];
};

export const deliveryOutcomes = ['delivered', 'retried', 'dead', 'released'] as const;
export const emailOutcomes = [
  'accepted',
  'transient',
  'permanent',
  'operator',
  'ambiguous',
  'suppressed',
  'withheld',
] as const;
/** Only emails have recipients. `ended`: a person ended the attempt (src/operate/end.ts). */
export const deadCauses = ['recipient', 'permanent', 'exhausted', 'expired', 'ended'] as const;
export const tickResults = ['dispatched', 'succeeded', 'failed', 'skipped'] as const;
const prunedStatuses = ['delivered', 'dead', 'cancelled'] as const;
const probeOutcomes = ['failed', 'answered'] as const;
/** Failures outside of the loops that are counted with them. */
const besides = ['listen', 'claim', 'close', 'rate'] as const;

/** As many names as in events.ts. */
const most = 100;

/** Only at the start: it resets a histogram's series, so nothing may have been observed yet. */
export function publishInitial(metrics: Metrics, { routes, cronJobs, providers }: KnownLabels): void {
  const queues = [...new Set(routes.map(({ queue }) => queue))].slice(0, most);
  for (const queue of queues) zeroQueue(metrics, queue);
  for (const { kind, queue } of routes.filter((route) => queues.includes(route.queue))) {
    for (const cause of deadCauses)
      if (cause !== 'recipient' || kind === 'email') metrics.deadLetters.inc({ kind, queue, cause }, 0);
    metrics.endToEnd.series({ kind });
    for (const outcome of deliveryOutcomes) {
      metrics.deliveries.series({ kind, queue, outcome });
      metrics.deliverySeconds.series({ kind, outcome });
    }
  }
  for (const provider of providers)
    for (const outcome of emailOutcomes) metrics.emailAttempts.inc({ provider, outcome }, 0);
  for (const job of cronJobs.slice(0, most)) {
    metrics.cronLag.zero({ job });
    for (const result of tickResults) metrics.cronTicks.inc({ job, result }, 0);
  }
  for (const status of prunedStatuses) metrics.pruned.inc({ status }, 0);
  for (const loop of besides) metrics.loopErrors.inc({ loop }, 0);
}

function zeroQueue(metrics: Metrics, queue: string): void {
  const { relayMoved, relayStands, claimedUnannounced, claimsExpired, claimsRejected, vanished } = metrics;
  const { parkings, holds, probes } = metrics;
  const counters = [relayMoved, relayStands, claimedUnannounced, claimsExpired, vanished, parkings, holds];
  for (const counter of counters) counter.inc({ queue }, 0);
  for (const when of ['before', 'after'] as const) claimsRejected.inc({ queue, when }, 0);
  metrics.slotSeconds.series({ queue });
  for (const outcome of probeOutcomes) probes.inc({ queue, outcome }, 0);
}
