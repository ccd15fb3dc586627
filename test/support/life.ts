// A life: relay, sweep and one worker, put together as a process puts them, on one wire to the database. Step by step, without loops and
// timers, so that the same life asks the database the same questions in the same order.

import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { createIsolation } from '../../src/process/isolation.ts';
import { openDatabase, type Database } from '../../src/db/pool.ts';
import type { App } from '../../src/define/app.ts';
import { createRegistry } from '../../src/define/registry.ts';
import type { Deliver } from '../../src/delivery/delivery.ts';
import { createDeliver } from '../../src/delivery/deliver.ts';
import { createMetrics } from '../../src/metrics/catalogue.ts';
import { createEvents } from '../../src/metrics/events.ts';
import { createLog } from '../../src/metrics/log.ts';
import type { ClaimedMessage } from '../../src/message/message.ts';
import { createWake } from '../../src/process/loop.ts';
import { QueueBroken } from '../../src/queue/instance.ts';
import { openQueue } from '../../src/queue/boss.ts';
import { createRelay } from '../../src/relay/relay.ts';
import { createSweep } from '../../src/relay/sweep.ts';
import { createQueueCloser } from '../../src/worker/queue-closer.ts';
import { createLeases } from '../../src/worker/lease.ts';
import { createPace } from '../../src/worker/pace.ts';
import { createSettler } from '../../src/worker/settler.ts';
import { createWakeUps } from '../../src/worker/wake-ups.ts';
import { createKnownLimits } from '../../src/worker/limits.ts';
import { permitsOfQueues } from '../../src/worker/permits.ts';
import { createWorker } from '../../src/worker/worker.ts';
import type { Wire } from './severing.ts';

export type LifeOptions = {
  readonly app: App;
  readonly wire: Wire;
  readonly workerId: string;
  readonly slots: number;
  /** The worker hears of commits, and claims before it polls. */
  readonly isNotified: boolean;
  /** Hears of each delivery that this life has begun. */
  readonly began: (message: ClaimedMessage) => void;
};

export type Life = {
  readonly db: Database;
  /** Whatever there is to do, once; rejects when the wire breaks in the middle of it. */
  round(): Promise<void>;
  end(): Promise<void>;
};

const leaseMs = 60_000; // longer than any test: who is dead is said by the test, not by the clock

export function startLife({ app, wire, workerId, slots: size, isNotified, began }: LifeOptions): Life {
  const log = createLog({ level: 'silent', role: 'test' });
  const events = createEvents(log, createMetrics({ version: 'test' }));
  const clock = { now: () => performance.now() };
  const ignore = (): void => undefined;
  const options = { url: wire.url, applicationName: workerId, onIdleError: ignore };
  const db = openDatabase({ ...options, max: 3 });
  const handlers = openDatabase({ ...options, max: size });
  const queue = openQueue({ db, queueDb: db, backend: 'postgres', onError: ignore });
  const registry = createRegistry(app);
  const outbox = createPostgresOutbox(db);
  const pace = createPace(size, leaseMs);
  // Short enough for some to be prefetched, and not under 4 ms for as long as a life is: then more than twice the slots may be in flight (test/pure/pace.test.ts).
  pace.delivered(6);
  const never = new Promise<never>(ignore);
  const pause = (ms: number): Promise<void> =>
    wire.isBroken ? never : new Promise((resolve) => setTimeout(resolve, ms));
  const known = createDeliver({
    db: handlers,
    registry,
    mailing: null,
    outboxOn: createPostgresOutbox,
    emailFrom: null,
    log,
    onEmail: ignore,
  });
  const deliver: Deliver = (message, signal) => {
    if (wire.isBroken) return never; // a dead process begins nothing
    began(message);
    return known(message, signal);
  };
  const permitsOf = permitsOfQueues({ db, clock, random: () => 0.5, onError: ignore });
  const worker = createWorker({
    queues: registry.queues,
    size,
    pace,
    isolation: createIsolation(clock, () => 0),
    limits: createKnownLimits(registry.perProcess, 0),
    clock,
    observe: ignore,
    onClaimed: ignore,
    onClaimFailed: ignore,
    onError: ignore,
    pollIntervalMs: 0,
    wake: createWake(),
    claims: { db, workerId, leaseMs, permitsOf },
    attempts: {
      leases: createLeases(outbox, leaseMs, clock),
      closer: createQueueCloser({ db, events, workerId, outboxOn: createPostgresOutbox }),
      settler: createSettler({ outbox, pause, onRetry: ignore }),
      deliver,
      outboxOn: createPostgresOutbox,
      events,
      clock,
      random: () => 0.5,
      notify: ignore,
    },
  });
  const relay = createRelay({ db, queue, events, observe: ignore, clock, pollIntervalMs: 0 });
  const sweep = createSweep({ db, events, observe: ignore, intervalMs: 0, wakeRelay: ignore });
  const wakeUps = createWakeUps({ queues: registry.queues, queue, worker, clock, pollIntervalMs: 0 });

  /** pg-boss's schema is made when it is missed. */
  async function healed(error: unknown): Promise<void> {
    if (!(error instanceof QueueBroken)) throw error;
    await queue.install();
  }

  async function work(): Promise<void> {
    if (isNotified) worker.notified(registry.queues.map((name) => `${name}:0`).join(' '));
    await relay().catch(healed);
    for (let i = 0; i < 3; i++) {
      await wakeUps.step().catch(healed);
      await worker.step();
      await worker.idle();
    }
    await sweep();
  }

  const orBroken = <T>(work: Promise<T>): Promise<T> =>
    Promise.race([
      work,
      wire.broken.then(() => {
        throw new Error('the wire is broken');
      }),
    ]);
  return {
    db,
    round: () => orBroken(work()),
    async end() {
      await wire.end();
      void db.end().catch(ignore);
      void handlers.end().catch(ignore);
    },
  };
}
