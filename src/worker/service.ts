// A worker as a service of a process. On shutdown it stops claiming, finishes what runs within the grace period, and releases the rest without
// using an attempt.

import type { Executor } from '../db/executor.ts';
import type { Deliver } from '../delivery/delivery.ts';
import { createConflicts } from '../delivery/failure.ts';
import { listen, type Notification } from '../db/listen.ts';
import { createNotify, outboxChannel, wakeUpChannel, workerChannel } from '../outbox/notify.ts';
import type { OutboxPort } from '../outbox/port.ts';
import { endUnfit, isOfData, withoutUnfit } from '../operate/unfit.ts';
import type { WorkerCounts } from '../process/worker-counts.ts';
import type { Host } from '../process/host.ts';
import { createWake, runLoop } from '../process/loop.ts';
import { after, pause } from '../timer.ts';
import type { Service } from '../process/serve.ts';
import type { WakeUpQueue } from '../queue/boss.ts';
import { healing } from '../queue/heal.ts';
import { createQueueCloser } from './queue-closer.ts';
import { createLeases, renewalOf, type Leases } from './lease.ts';
import { createPace } from './pace.ts';
import { createSettler } from './settler.ts';
import { createKnownLimits } from './limits.ts';
import { permitsOfQueues } from './permits.ts';
import { createWakeUps } from './wake-ups.ts';
import { createWorker } from './worker.ts';

/** One of the workers of a process. */
export type WorkerPart = {
  readonly queues: readonly string[];
  /** Number of slots. */
  readonly size: number;
};

export type WorkerServiceOptions = {
  /** Workers with slots of their own. They share the LISTEN and the leases. At least one. */
  readonly workers: readonly WorkerPart[];
  readonly queue: WakeUpQueue;
  readonly outboxOn: (db: Executor) => OutboxPort;
  readonly deliver: Deliver;
  /** How many messages of a queue one process may have in hand, as the application defines it. */
  readonly perProcess: ReadonlyMap<string, number>;
  /** Added to the priorities of messages where a worker chooses between queues. */
  readonly priorities: ReadonlyMap<string, number>;
};

/** From the end of the deliveries' grace period to the end of the process: for settling and releasing. */
const settlingMs = 2_000;

/** One worker with what it has for itself. */
// oxlint-disable-next-line max-lines-per-function -- the composition of one worker
function partOf(
  host: Host,
  { queues, size }: WorkerPart,
  options: WorkerServiceOptions,
  { leases, mend }: { readonly leases: Leases; mend(error: unknown, times: number): Promise<void> },
) {
  const { config, db, planned, events, clock, random, observe, log } = host;
  const { queue, outboxOn, deliver, priorities } = options;
  const wake = createWake();
  const notify = createNotify(db, (error) => log.warn({ err: error }, 'a NOTIFY was not sent; workers poll'));
  const onRetry = (n: number, error: unknown): void => events.settleRetried(n, error);
  const gather = (): number => worker.slots.gather();
  const settler = createSettler({ outbox: outboxOn(planned), pause, onRetry, gather });
  const permitPorts = { db, clock, random, onError: (error: unknown) => events.loopFailed('rate', error) };
  const worker = createWorker({
    queues,
    size,
    pace: createPace(size, config.leaseMs),
    limits: createKnownLimits(options.perProcess, config.pollIntervalMs),
    priorities,
    isolation: host.isolation,
    isQuiet: host.quiet.is,
    clock,
    observe,
    onClaimed: events.claimed,
    pollIntervalMs: config.pollIntervalMs,
    wake,
    onClaimFailed: (error, times) => void mend(error, times),
    onError: (error) => log.error({ err: error }, 'an attempt broke off'),
    claims: {
      db,
      planned,
      workerId: host.id,
      leaseMs: config.leaseMs,
      permitsOf: permitsOfQueues(permitPorts),
    },
    attempts: {
      leases,
      closer: createQueueCloser({ db, events, workerId: host.id, outboxOn }),
      settler,
      deliver,
      outboxOn,
      events,
      clock,
      random,
      notify,
      conflicts: createConflicts(random),
    },
  });
  const wakeUps = createWakeUps({ queues, queue, worker, clock, pollIntervalMs: config.pollIntervalMs });
  host.quiet.watch(wake.wake);
  return { queues, worker, wakeUps, wake };
}

type Part = ReturnType<typeof partOf>;

const named = (loop: string, queues: readonly string[]): string => `${loop} ${queues.join(' ')}`;

/** Runs the loops of one worker until the signal aborts. */
async function runPart(
  { queues, worker, wakeUps, wake }: Part,
  { config, db, events }: Host,
  { queue }: WorkerServiceOptions,
  common: Parameters<typeof runLoop>[1],
): Promise<void> {
  const pollMs = config.pollIntervalMs;
  const loops = { longestPauseMs: pollMs, everyMs: pollMs }; // due messages begin within a poll interval
  const step = (): Promise<number> => withoutUnfit(db, events.unfit, worker.step);
  await Promise.all([
    runLoop({ name: named('worker', queues), step, wake, ...loops }, common),
    runLoop(
      {
        name: named('wake-ups', queues),
        step: healing(queue, wakeUps.step),
        wake: wakeUps.wake,
        everyMs: wakeUps.everyMs,
      },
      common,
    ),
  ]);
}

// oxlint-disable-next-line max-lines-per-function -- the composition of one service
export function workerService(host: Host, options: WorkerServiceOptions): Service {
  const { config, db, events, clock, observe } = host;
  const { queue, outboxOn } = options;
  const leases = createLeases(outboxOn(db), config.leaseMs, clock); // not queued behind settlements that wait for a lock
  const parts = options.workers.map((part) => partOf(host, part, options, { leases, mend }));
  host.counts.workers.push(...parts.map(countsOf));

  /** Ends rows that break the rules, after a claim failed on one; the claim is tried again. Another worker may have ended them meanwhile. */
  async function mend(error: unknown, times: number): Promise<void> {
    try {
      const ended = isOfData(error) ? await endUnfit(db) : [];
      events.unfit(ended);
      if (ended.length === 0 && !(isOfData(error) && times < 3)) events.loopFailed('claim', error);
    } catch (other) {
      events.loopFailed('claim', other);
    }
  }

  /** @param listened ends the LISTEN; the last claim must be answered before, as it may run on that connection */
  async function finish(listened: AbortController): Promise<void> {
    const graceMs = Math.max(config.shutdownGraceMs - settlingMs, config.shutdownGraceMs / 2);
    const timer = after(graceMs, () => leases.release());
    host.hurry.addEventListener('abort', leases.release, { once: true });
    if (host.hurry.aborted) leases.release();
    await Promise.all(parts.map(({ worker }) => worker.close()));
    listened.abort();
    await Promise.all(parts.map(({ worker }) => worker.slots.idle()));
    timer.stop();
  }

  /** What a person did to this process or to what it runs. If the NOTIFY is lost, the heartbeat or the next renewal of the leases finds it. */
  function ordered(payload: string): void {
    if (payload === `quiet ${host.id}`) host.quiet.set(true);
    if (payload === `resume ${host.id}`) host.quiet.set(false);
    if (!payload.startsWith('end ')) return;
    leases.ended(payload.slice(4)).catch((error: unknown) => events.loopFailed('lease', error));
  }

  return {
    name: 'worker',
    async run(signal) {
      const running = new AbortController(); // outlives the signal: leases are renewed until nothing runs
      const listened = new AbortController();
      const common = { onError: events.loopFailed, observe, progress: host.progress };
      const heard = ({ channel, payload, session }: Notification): void => {
        if (channel === workerChannel) return ordered(payload);
        // The connection answers one claim at a time: the first worker's.
        for (const [i, { worker, wakeUps }] of parts.entries())
          if (channel === outboxChannel) worker.notified(payload, i === 0 ? session : undefined);
          else wakeUps.heard(payload);
      };
      const listening = listen(db, [wakeUpChannel, outboxChannel, workerChannel], heard, {
        signal: listened.signal,
        checkMs: 10_000,
        onError: (e) => events.loopFailed('listen', e),
      });
      const all = parts.flatMap((part) => part.queues);
      const renewal = renewalOf(leases, config.leaseMs, named('lease', all));
      const renewing = runLoop(renewal, { ...common, signal: running.signal });
      await Promise.all(parts.map((part) => runPart(part, host, options, { ...common, signal })));
      await finish(listened);
      running.abort();
      await Promise.all([listening, renewing]);
      await queue.close();
    },
  };
}

function countsOf({ queues, worker: { slots } }: Part): WorkerCounts {
  return {
    queues,
    slots: slots.size,
    busy: slots.running,
    prefetched: slots.prefetched,
    settling: slots.settling,
  };
}
