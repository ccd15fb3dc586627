// Every metric of a process, with its name, help and labels. Units are base units, and each label has a bound.

import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { createTally } from './tally.ts';

/** Seconds. Each objective is the edge of a bucket. */
const endToEnd = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600];
const delivery = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const lag = [0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300, 3600];
/** Few edges, because each job has a series of them. */
const cronLag = [0.05, 0.25, 1, 5, 60, 3600];

export type Metrics = ReturnType<typeof createMetrics>;

/**
 * Builds the metrics in their own registry. `fleet.ts` adds these counts to the figures of the whole fleet.
 * @param options.ofProcess whether memory, CPU time and so on of the process are among them; one registry of a process has them
 */
// oxlint-disable-next-line max-lines-per-function -- one entry for each metric
export function createMetrics(options: { readonly version: string; readonly ofProcess?: boolean }) {
  const { version, ofProcess = true } = options;
  const registry = new Registry();
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: L[]) =>
    new Counter({ name: `waybill_${name}`, help, labelNames, registers });
  const histogram = <L extends string>(name: string, help: string, labelNames: L[], buckets: number[]) =>
    new Histogram({ name: `waybill_${name}`, help, labelNames, buckets, registers });
  /** For counting with each message: a counter, or with edges a histogram. */
  const tally = <L extends string>(name: string, help: string, labelNames: L[], upperBounds?: number[]) =>
    createTally({ name: `waybill_${name}`, help, labelNames, registry, ...(upperBounds && { upperBounds }) });

  const counted = {
    relayMoved: counter('relay_moved_total', 'Messages that the relay announced by wake-ups', ['queue']),
    relayStands: counter(
      'relay_stands_total',
      'Steps of the relay that found a backlog of the queue announced, also when there was nothing to add',
      ['queue'],
    ),
    claimedUnannounced: counter(
      'claims_unannounced_total',
      'Messages that workers claimed because of a NOTIFY or a poll, not of a wake-up',
      ['queue'],
    ),
    relayLag: tally('relay_lag_seconds', 'From due to claimed', [], lag),
    deliveries: tally('deliveries_total', 'Attempts that ended, by their end', ['kind', 'queue', 'outcome']),
    deliverySeconds: tally(
      'delivery_seconds',
      'From the start of an attempt to its recorded end',
      ['kind', 'outcome'],
      delivery,
    ),
    slotSeconds: tally('slot_seconds_total', 'Seconds that ended attempts kept a slot of a worker', [
      'queue',
    ]),
    endToEnd: tally('end_to_end_seconds', 'From the record of a message to its delivery', ['kind'], endToEnd),
    claimsExpired: counter('claims_expired_total', 'Leases that ran out: a worker died or stood still', [
      'queue',
    ]),
    claimsRejected: counter(
      'claims_rejected_total',
      'Claims that were not ours any more: after the delivery each is a possible duplicate, before it none',
      ['queue', 'when'],
    ),
    deadLetters: counter('dead_letters_total', 'Messages that ended dead', ['kind', 'queue', 'cause']),
    emailAttempts: counter('email_attempts_total', 'Emails handed to a provider, by its answer', [
      'provider',
      'outcome',
    ]),
    vanished: counter(
      'parcels_vanished_messages_total',
      'Always 0: a wake-up that is lost is made again, and not counted',
      ['queue'],
    ),
    adminRefused: counter('admin_refused_total', 'Calls of the admin API with a wrong key', []),
    pruned: counter('pruned_total', 'Settled messages removed after their retention', ['status']),
    settleRetries: counter(
      'settle_retries_total',
      'Attempts to record a batch of settlements that failed and were repeated',
      [],
    ),
    cronTicks: counter(
      'cron_ticks_total',
      'Ticks of cron: dispatched, and by their end succeeded, failed or skipped (missed ones that never ran among them)',
      ['job', 'result'],
    ),
    cronLag: histogram('cron_lag_seconds', "From a tick's time to its dispatch", ['job'], cronLag),
    parkings: counter('queue_parkings_total', 'Queues parked by an operator failure', ['queue']),
    holds: counter('queue_holds_total', 'Queues held because the provider asked everybody to wait', [
      'queue',
    ]),
    probes: counter('queue_probes_total', 'Probes of parked queues, by what they met', ['queue', 'outcome']),
    logLinesLost: counter(
      'log_lines_lost_total',
      'Log lines that could not be written, by the reason: the work went on without them',
      ['reason'],
    ),
    loopErrors: counter('loop_errors_total', 'Steps of a loop that failed', ['loop']),
  };
  new Gauge({
    name: 'waybill_build_info',
    help: 'Version of this process',
    labelNames: ['version'],
    registers,
  }).set({ version }, 1);
  if (ofProcess) collectDefaultMetrics({ register: registry });
  return { registry, ...counted, counted: Object.values(counted) };
}
