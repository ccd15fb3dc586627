// A worker as a part of a process: its loops, its listening, and how it ends: stop taking, finish what runs within the grace period,
// give the rest back at once, unharmed.

import type { Executor } from '../db/executor.ts';
import type { Deliver } from '../delivery/delivery.ts';
import { createConflicts } from '../delivery/conflict.ts';
import { listen, type Notification } from '../db/listen.ts';
import { createNudge, outboxChannel, parcelChannel } from '../outbox/nudge.ts';
import type { OutboxPort } from '../outbox/port.ts';
import type { RatePlan } from '../outbox/rate.ts';
import { withoutUnfit } from '../outbox/unfit.ts';
import type { Counts } from '../process/heartbeat.ts';
import type { Host } from '../process/host.ts';
import { createWake, runLoop } from '../process/loop.ts';
import { after, pause } from '../timer.ts';
import type { Part } from '../process/run.ts';
import type { ParcelQueue } from '../queue/boss.ts';
import { healing } from '../queue/heal.ts';
import { createBookmarks } from './bookmarks.ts';
import { createGatekeeper } from './gatekeeper.ts';
import { createLeases } from './lease.ts';
import type { Limits } from './limits.ts';
import { createPace } from './pace.ts';
import { createSettler } from './settler.ts';
import { createSlots, type Slots } from './slots.ts';
import { createTurns } from './turn.ts';
import { createWorker } from './worker.ts';

export type WorkerPartOptions = {
  readonly queues: readonly string[];
  readonly queue: ParcelQueue;
  readonly outboxOn: (db: Executor) => OutboxPort;
  readonly deliver: Deliver;
  readonly limits: Limits;
  /** Of queues that have a rate. */
  readonly rates?: ReadonlyMap<string, RatePlan>;
};

/** Between the end of patience with what runs and the end of the process: for settling and for giving back. */
const lastWords = 2_000;

export function workerPart(host: Host, options: WorkerPartOptions): Part {
  const { config, db, planned, events, clock, random, observe, log } = host;
  const { queue, outboxOn, deliver, queues, limits, rates = new Map<string, RatePlan>() } = options;
  const wake = createWake();
  const nudge = createNudge(db, (error) => log.warn({ err: error }, 'a nudge was not sent; the relay polls'));
  const leases = createLeases(outboxOn(db), config.leaseMs, clock); // not behind settlements that wait for a lock
  const onRetry = (n: number, error: unknown): void => events.settleRetried(n, error);
  const settler = createSettler({ outbox: outboxOn(planned), pause, onRetry, gather: () => slots.gather() });
  const gatekeeper = createGatekeeper({ db, events, workerId: host.id });
  const turnPorts = { db, clock, random, onError: (error: unknown) => events.loopFailed('rate', error) };
  const turns = new Map([...rates].map(([name, plan]) => [name, createTurns(name, plan, turnPorts)]));
  const pace = createPace(config.concurrency, config.leaseMs);
  const onError = (error: unknown): void => log.error({ err: error }, 'an attempt broke off');
  const slots = createSlots(config.concurrency, { pace, wake, clock, onError });
  const worker = createWorker({
    queues,
    slots,
    pace,
    limits,
    isolation: host.isolation,
    clock,
    observe,
    onRelayed: events.claimedUnannounced,
    pollIntervalMs: config.pollIntervalMs,
    wake,
    onError: (error) => events.loopFailed('shortcut', error),
    claims: {
      db,
      planned,
      queue,
      outboxOn,
      workerId: host.id,
      leaseMs: config.leaseMs,
      bookmarks: createBookmarks(clock),
      turns,
    },
    attempts: {
      leases,
      gatekeeper,
      settler,
      deliver,
      outboxOn,
      events,
      clock,
      random,
      nudge,
      conflicts: createConflicts(random),
    },
  });
  addCounts(host.counts, slots, queues);

  /** @param listened ends the listening: a claim may be under way on its connection, and its answer must arrive */
  async function finish(listened: AbortController): Promise<void> {
    const patience = Math.max(config.shutdownGraceMs - lastWords, config.shutdownGraceMs / 2);
    const timer = after(patience, () => leases.giveBack());
    host.hurry.addEventListener('abort', leases.giveBack, { once: true });
    if (host.hurry.aborted) leases.giveBack();
    slots.close();
    await worker.shortcut.close();
    listened.abort();
    await slots.idle();
    timer.stop();
  }

  return {
    name: 'worker',
    async run(signal) {
      const running = new AbortController(); // outlives the signal: leases are renewed until nothing runs
      const listened = new AbortController();
      const common = { onError: events.loopFailed, observe, progress: host.progress };
      const heard = ({ channel, payload, session }: Notification): void => {
        if (channel === outboxChannel) return worker.shortcut.heard(payload, session);
        worker.hint(payload);
        wake.wake();
      };
      const listening = listen(db, [parcelChannel, outboxChannel], heard, {
        signal: listened.signal,
        checkMs: 10_000,
        onError: (e) => events.loopFailed('listen', e),
      });
      const held = { ...common, signal: running.signal };
      const renewing = runLoop(
        { name: `lease ${queues.join(' ')}`, step: leases.renew, everyMs: config.leaseMs / 3 },
        held,
      );
      const step = healing(queue, () => withoutUnfit(db, events.unfit, worker.step));
      const longestPauseMs = config.pollIntervalMs; // also without pg-boss, what is due begins within a poll interval
      await runLoop(
        { name: `worker ${queues.join(' ')}`, step, wake, longestPauseMs, everyMs: config.pollIntervalMs },
        { ...common, signal },
      );
      await finish(listened);
      running.abort();
      await Promise.all([listening, renewing]);
      await queue.close();
    },
  };
}

/** A process may run several workers. */
function addCounts(counts: Counts, slots: Slots, queues: readonly string[]): void {
  const { busy, prefetched = () => 0, settling = () => 0 } = counts;
  counts.slots += slots.size;
  counts.busy = () => busy() + slots.running();
  counts.prefetched = () => prefetched() + slots.prefetched();
  counts.settling = () => settling() + slots.settling();
  counts.queues.push(...queues);
}
