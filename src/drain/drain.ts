// drainOutbox claims and delivers one bounded batch in this process, without a queue. It may run beside a relay and other drains: claim tokens keep
// them apart (invariant C). It ends lapsed leases itself (B), so it needs no fleet. Suspects run alone (F).

import { transactionsOf } from '../db/pool.ts';
import type { Transactions } from '../db/transaction.ts';
import { standardQueues } from '../define/registry.ts';
import { createWebhooks, type Webhooks } from '../delivery/webhook.ts';
import { createDeliver } from '../delivery/deliver.ts';
import type { Mailing } from '../delivery/email.ts';
import { ownProvider } from '../email/own-provider.ts';
import { createLog, type Log } from '../metrics/log.ts';
import { WaybillError } from '../errors.ts';
import type { ClaimedMessage, Kind } from '../message/message.ts';
import { payloadKeysOf } from '../message/seal.ts';
import type { OutboxPort } from '../outbox/port.ts';
import type { Clock, Milliseconds } from '../ports.ts';
import { pause } from '../timer.ts';
import { createProgress, runLoop } from '../process/loop.ts';
import { Attempt, type AttemptPorts } from '../worker/attempt.ts';
import { closesNothing } from '../worker/queue-closer.ts';
import { createLeases, type Leases } from '../worker/lease.ts';
import type { AttemptEvents } from '../worker/end.ts';
import { createSettler } from '../worker/settler.ts';
import {
  allowListOf,
  checkedBounds,
  type DrainBounds,
  type DrainEmail,
  type DrainOptions,
} from './options.ts';
import type { DrainingProcess } from './process.ts';
import {
  countExpired,
  counting,
  reportingOf,
  sum,
  warnOfEmails,
  type DrainReport,
  type Tally,
} from './report.ts';
import { retrying } from './retry-delay.ts';

const clock: Clock = { now: () => performance.now() };

/** Limit of one call with `untilEmpty`. */
const mostMessages = 100_000;

/**
 * Delivers due messages: one batch, or with `untilEmpty` batch after batch until nothing is due.
 * @param process what a process of the fleet adds: its metrics and logs, and the right to close a queue for the fleet
 * @throws WaybillError `drain_options_invalid`, `definition_invalid` (an unknown option); errors of the database pass through
 */
export async function drainOutbox(
  options: DrainOptions,
  process: DrainingProcess = {},
): Promise<DrainReport> {
  const bounds = checkedBounds(options);
  const log = options.log ?? createLog({ level: 'info', role: 'drain' });
  const webhooks = createWebhooks(allowListOf(options.webhookAllow)); // one for all batches, which keeps connections
  try {
    const shared = { log, process, webhooks };
    let total = await drainBatch(options, bounds, shared);
    let last = total.claimed;
    while (options.untilEmpty && last > 0 && !options.signal?.aborted && total.claimed < mostMessages) {
      process.batched?.(total);
      const batch = await drainBatch(options, bounds, shared);
      last = batch.claimed;
      total = sum(total, batch);
    }
    await warnOfEmails(options, log);
    return total;
  } finally {
    webhooks.post.close();
  }
}

/** What all batches of one drain have. */
type Shared = { readonly log: Log; readonly process: DrainingProcess; readonly webhooks: Webhooks };

async function drainBatch(
  options: DrainOptions,
  { batchSize, concurrency, leaseMs }: DrainBounds,
  shared: Shared,
): Promise<DrainReport> {
  const { log, process } = shared;
  const { outbox, signal } = options;
  const tally = { claimed: 0, delivered: 0, retried: 0, dead: 0, released: 0 };
  const reporting = reportingOf(options);
  const leases = createLeases(outbox, leaseMs, clock);
  const events = counting(tally, reporting, log, process.events);
  const ports = attemptPorts(options, { ...shared, leases, events });
  const { release } = ports;
  signal?.addEventListener('abort', release, { once: true });
  const running = new AbortController();
  const onError = (_: string, error: unknown): void =>
    log.warn({ err: error }, 'leases could not be renewed, trying again');
  const within = {
    signal: running.signal,
    observe: () => undefined,
    progress: createProgress(clock),
    onError,
  };
  const renewing = runLoop({ name: 'lease', step: leases.renew }, within);
  try {
    await runProbes(process, tally, ports);
    for (const expired of await outbox.expire(batchSize)) countExpired(expired, tally, reporting, log);
    for (const suspects of [false, true]) {
      const width = suspects ? 1 : concurrency;
      const groups = groupsOf(options).map((group) => ({ ...claimOf(options, leaseMs), ...group, suspects }));
      await claimAndRun(groups, { width, batchSize, tally, signal, ports });
    }
    return tally;
  } finally {
    signal?.removeEventListener('abort', release);
    running.abort();
    await renewing;
  }
}

/** Queues that are claimed from together, and how many of their messages may run at a time. */
type Group = { readonly queues: readonly string[]; readonly most: number };
type Claiming = Omit<Parameters<OutboxPort['claimBatch']>[0], 'limit'> & Group;
type Running = {
  readonly width: number;
  readonly batchSize: number;
  readonly tally: Tally;
  readonly signal: AbortSignal | undefined;
  readonly ports: DrainPorts;
};

/** Claims only as much as it can start. */
async function claimAndRun(groups: readonly Claiming[], { width, batchSize, tally, signal, ports }: Running) {
  const running = new Map<Promise<void>, Claiming>();
  const failed: unknown[] = [];
  const open = new Set(groups); // these may have more due messages
  const inGroup = (group: Claiming): number =>
    [...running.values()].filter((other) => other === group).length;

  async function claimFrom({ most, ...group }: Claiming, of: Claiming): Promise<void> {
    const free = Math.min(width - running.size, batchSize - tally.claimed, most - inGroup(of));
    if (free <= 0) return;
    const since = clock.now();
    const messages = await ports.outbox.claimBatch({ ...group, limit: free });
    tally.claimed += messages.length;
    if (messages.length < free) open.delete(of); // messages that become due later are for the next batch
    for (const message of messages) {
      const one: Promise<void> = attempt(message, since, ports)
        .catch((error: unknown) => void failed.push(error))
        .finally(() => {
          running.delete(one);
          if (message.orderKey) open.add(of); // the next message of its order key may be available now
        });
      running.set(one, of);
    }
  }

  while (
    open.size + running.size > 0 &&
    tally.claimed < batchSize &&
    !signal?.aborted &&
    failed.length === 0
  ) {
    for (const group of open) await claimFrom(group, group);
    if (signal?.aborted) ports.release(); // it aborted during the claim
    if (running.size > 0) await Promise.race(running.keys()); // wait for a slot, or for room in a group
  }
  await Promise.all(running.keys());
  if (failed.length > 0) throw failed[0];
}

/** Each job with a `concurrency` has a queue of its own. */
function groupsOf({ registry: { queues, perProcess: limits }, email }: DrainOptions): Group[] {
  const all = [...queues, ...(email ? [standardQueues.email] : [])];
  return [
    { queues: all.filter((queue) => !limits.has(queue)), most: Number.POSITIVE_INFINITY },
    ...[...limits].map(([queue, most]) => ({ queues: [queue], most })),
  ];
}

async function runProbes(process: DrainingProcess, tally: Tally, ports: DrainPorts): Promise<void> {
  const since = clock.now();
  const probes = (await process.claimProbes?.()) ?? [];
  tally.claimed += probes.length;
  await Promise.all(probes.map((probe) => attempt(probe, since, ports)));
}

function attempt(message: ClaimedMessage, since: Milliseconds, ports: DrainPorts): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (error?: unknown): void => (error === undefined ? resolve() : reject(error as Error));
    new Attempt(message, since, ports, { leave: () => undefined, end: (_, error) => end(error) }).run();
  });
}

function claimOf({ registry, email, workerId }: DrainOptions, leaseMs: Milliseconds) {
  const actions = registry.app.actions.length > 0 ? (['action'] as const) : [];
  const kinds: Kind[] = ['event', 'listener', 'job', ...actions, ...(email ? (['email'] as const) : [])];
  return { leaseMs, kinds, workerId: workerId ?? `drain:${process.pid}` };
}

type Around = Shared & { readonly leases: Leases; readonly events: AttemptEvents };

type DrainPorts = AttemptPorts & { readonly outbox: OutboxPort; release(): void };

function attemptPorts(options: DrainOptions, around: Around): DrainPorts {
  const { outbox, registry, email, pool = noDatabase } = options;
  const { leases, events, log, process, webhooks } = around;
  const { closer = closesNothing, database } = process;
  const db = 'transaction' in pool ? pool : transactionsOf(pool);
  const outboxOn: AttemptPorts['outboxOn'] = (tx) => outbox.on(tx);
  const payloadKeys = payloadKeysOf(options.payloadKeys);
  const emailFrom = email?.from ?? null;
  const mailing = email ? { ...mailingOf(email), ...process.mailing } : null;
  const own = { registry, emailFrom, database, mailing, payloadKeys, webhooks };
  const onRetry = (settlements: number, error: unknown): void =>
    log.warn({ settlements, err: error }, 'settlements could not be recorded yet, trying again');
  const deliver = retrying(createDeliver({ ...own, db, outboxOn, log, onEmail }), options, log);
  return {
    outbox,
    leases,
    closer,
    release: leases.release,
    events,
    deliver,
    outboxOn,
    clock,
    random: Math.random,
    notify: () => undefined,
    settler: createSettler({ outbox, pause, onRetry }),
  };
}

const onEmail = (): void => undefined;

/** Without other options, emails go to everybody, and each one alone. */
function mailingOf({
  provider,
  allowed = () => true,
  suppressed = async () => new Map(),
  batching,
}: DrainEmail): Mailing {
  return { provider: ownProvider(provider), allowed, suppressed, ...(batching && { batching }) };
}

const withoutDatabase =
  'a handler uses ctx.db or enqueues, and this drain has no database for it: give drainOutbox a pool';
const noDatabase: Transactions = {
  transaction: async () => {
    throw new WaybillError('drain_without_database', withoutDatabase);
  },
};
