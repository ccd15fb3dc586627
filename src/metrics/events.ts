// One function for each business event: it writes the log line and the metrics together, so that neither is forgotten.

import type { Log } from './log.ts';
import type { AttemptEnd, ReportedMessage } from './attempt-end.ts';
import { countAttempts } from './attempts.ts';
import type { Metrics } from './catalogue.ts';
import { tellDelivered } from './delivered.ts';
import { tellNotDelivered } from './not-delivered.ts';

/** An expired lease, or a waiting row without attempts left. */
export type ExpiredClaim = Pick<ReportedMessage, 'kind' | 'queue'> & {
  readonly status: 'failed' | 'dead';
  readonly cause: string | null;
};

type RejectedClaim = Pick<ReportedMessage, 'id' | 'queue'> & {
  readonly when: 'before' | 'after';
  readonly reason: string;
};

/** The part of a run that may be logged. */
export type TellableRun = {
  readonly id: string;
  readonly name: string;
  readonly action: string;
  readonly source: 'cron' | 'admin';
  readonly scheduledAt: number;
  readonly skipped: string | null;
  readonly skippedTicks: number;
};

type OfGroup = { readonly queue: string; readonly group: string };

export type Events = ReturnType<typeof createEvents>;

// oxlint-disable-next-line max-lines-per-function -- one small function for each business event
export function createEvents(log: Log, metrics: Metrics) {
  const label = bounded(100);
  const delivered = tellDelivered(log);
  const jobLabel = bounded(100);
  const count = countAttempts(metrics);
  const lag = metrics.relayLag.series({});
  return {
    relayed(queue: string, messages: number, wakeUps: number): void {
      metrics.relayMoved.inc({ queue: label(queue) }, messages);
      log.debug({ queue, messages, wakeUps }, 'announced');
    },

    /** Messages are due in this queue, and the relay's wake-ups for them are still in pg-boss. */
    stands(queue: string): void {
      metrics.relayStands.inc({ queue: label(queue) });
    },

    /** @param lagSeconds from the due time of each message */
    claimed(queue: string, lagSeconds: readonly number[], isAnnounced: boolean): void {
      if (!isAnnounced) metrics.claimedUnannounced.inc({ queue: label(queue) }, lagSeconds.length);
      for (const seconds of lagSeconds) lag.add(Number.isFinite(seconds) ? seconds : 0); // of a row whose times were edited by hand
    },

    attempted(end: AttemptEnd): void {
      const { message, outcome, seconds, endToEndSeconds, cause } = end;
      count(label(message.queue), end);
      if (outcome === 'delivered') return delivered(message, round(seconds), round(endToEndSeconds ?? 0));
      if (cause !== null) metrics.deadLetters.inc({ kind: message.kind, queue: label(message.queue), cause });
      return tellNotDelivered(log, end);
    },

    expired({ queue, kind, status, cause }: ExpiredClaim): void {
      metrics.claimsExpired.inc({ queue: label(queue) });
      if (cause !== null) metrics.deadLetters.inc({ kind, queue: label(queue), cause });
      log.warn(
        { queue, kind, status, cause: cause ?? undefined },
        status === 'dead' ? 'a lease ran out, no attempt is left' : 'a lease ran out, due again',
      );
    },

    /** Rows that break the rules of a message. They are dead, each with its reason. */
    unfit(ended: readonly { id: string; queue: string; kind: string; error: string | null }[]): void {
      for (const { id, queue, kind, error } of ended) {
        metrics.deadLetters.inc({ kind, queue: label(queue), cause: 'permanent' });
        log.error(
          { message: id, queue: queue.slice(0, 100), kind: kind.slice(0, 100), error },
          'a row that breaks the rules of a message is dead',
        );
      }
    },

    /** `after` its delivery: it may have been delivered twice. `before`: it was not delivered here. */
    rejected({ id, queue, when, reason }: RejectedClaim): void {
      metrics.claimsRejected.inc({ queue: label(queue), when });
      log.warn({ message: id, queue, when, reason }, 'a stale claim was refused');
    },

    pruned(status: string, messages: number): void {
      metrics.pruned.inc({ status }, messages);
      log.info({ status, messages }, 'pruned');
    },

    emailAttempted(provider: string, outcome: string): void {
      metrics.emailAttempts.inc({ provider, outcome });
    },

    /** The one line of a parking for an alert. Only the process that parked the queue writes it, not each message. */
    parked(queue: string, reason: string): void {
      metrics.parkings.inc({ queue: label(queue) });
      log.error(
        { queue, reason },
        'the queue is parked for the whole fleet: an operator has to mend something',
      );
    },

    probed(queue: string, outcome: 'failed' | 'answered', facts: { reason?: string; nextMs?: number }): void {
      metrics.probes.inc({ queue: label(queue), outcome });
      log.info(
        { queue, ...facts },
        outcome === 'failed'
          ? 'a probe failed, the queue stays parked'
          : 'a probe was answered, the queue is open',
      );
    },

    held(queue: string, reason: string, ms: number): void {
      metrics.holds.inc({ queue: label(queue) });
      log.warn({ queue, reason, ms }, 'the provider asked everybody to wait: the queue is held');
    },

    groupHeld({ queue, group }: OfGroup, reason: string, ms: number): void {
      log.info({ queue, group, reason, ms: Math.round(ms) }, 'deliveries of the group fail: it is held');
    },

    groupOpened({ queue, group }: OfGroup): void {
      log.info({ queue, group }, 'a delivery of the group succeeded after failures: it is open');
    },

    /** Its owner is told by the application, so this is no error of the fleet. */
    groupParked({ queue, group }: OfGroup, reason: string, failures: number): void {
      log.warn({ queue, group, reason, failures }, 'the group is parked: its deliveries failed for too long');
    },

    gateFailed(queue: string, error: unknown): void {
      metrics.loopErrors.inc({ loop: 'close' });
      log.error(
        { queue, err: error },
        'the queue could not be told how an attempt ended; the next one tells it',
      );
    },

    settleRetried(settlements: number, error: unknown): void {
      metrics.settleRetries.inc();
      log.warn({ settlements, err: error }, 'settlements could not be recorded yet, trying again');
    },

    cronDispatched(run: TellableRun, lagSeconds: number): void {
      const { id, name, action, source, skipped, skippedTicks } = run;
      const job = jobLabel(name);
      if (skippedTicks > 0) metrics.cronTicks.inc({ job, result: 'skipped' }, skippedTicks);
      const facts = { run: id, job: name, scheduledAt: new Date(run.scheduledAt), skippedTicks };
      if (skipped !== null) return log.warn({ ...facts, reason: skipped }, 'a tick is skipped');
      metrics.cronTicks.inc({ job, result: 'dispatched' });
      if (source === 'cron') metrics.cronLag.observe({ job }, Math.max(0, lagSeconds));
      log.info({ ...facts, action, source, lagSeconds: round(lagSeconds) }, 'a tick is dispatched');
    },

    cronEnded(name: string, result: string, runs: number): void {
      metrics.cronTicks.inc({ job: jobLabel(name), result }, runs);
      log.debug({ job: name, result, runs }, 'runs have ended');
    },

    cronUnplanned(name: string, error: unknown): void {
      log.error({ job: name, err: error }, 'a cron job cannot be scheduled and is put off; the others go on');
    },

    cronManifest(manifest: string, what: string): void {
      log.info({ manifest }, what);
    },

    loopFailed(loop: string, error: unknown): void {
      metrics.loopErrors.inc({ loop });
      log.error({ loop, err: error }, `the ${loop} loop failed a step, backing off`);
    },
  };
}

/** A row's queue may be any text written by SQL. The first names get their own label, the rest share one. */
function bounded(most: number): (name: string) => string {
  const known = new Set<string>();
  return (name) => {
    if (known.has(name)) return name;
    if (known.size === most) return 'other';
    known.add(name);
    return name;
  };
}

function round(seconds: number): number {
  return Math.round(seconds * 10_000) / 10_000;
}
