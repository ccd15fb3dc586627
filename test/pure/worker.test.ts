import { describe, expect, it } from 'vitest';
import type { Executor } from '../../src/db/executor.ts';
import type { Database } from '../../src/db/pool.ts';
import type { Transaction } from '../../src/db/transaction.ts';
import { defaultBackoff } from '../../src/outbox/backoff.ts';
import { createMemoryOutbox } from '../../src/outbox/memory.ts';
import type { ParcelQueue } from '../../src/queue/boss.ts';
import type { Parcel } from '../../src/queue/parcel.ts';
import { createIsolation } from '../../src/process/isolation.ts';
import { createBookmarks } from '../../src/worker/bookmarks.ts';
import { Interruption } from '../../src/worker/interrupt.ts';
import type { Pace } from '../../src/worker/pace.ts';
import { createSlots } from '../../src/worker/slots.ts';
import { createWorker, type Worker } from '../../src/worker/worker.ts';

type Take = {
  readonly alone: boolean;
  readonly messages: number;
  answer(): void;
};
type Fake = {
  worker: Worker;
  /** Claims under way, the oldest first. */
  takes: Take[];
  begun: () => number;
  /** So many of the deliveries that have begun end. */
  deliver(count: number): Promise<void>;
  /** A claim of the shortcut is answered with nothing. */
  shortcut: { answer: () => void };
  /** Messages that each claim without a parcel asked for. */
  claims: number[];
  /** What a poll finds. */
  suspect: { waits: boolean };
  pass(ms: number): void;
};

const size = 4;
const room = 10; // messages that may be in flight

/** A worker whose database holds open parcels of `parcel` messages without end, each answer given by the test. */
function fake({ short = true, parcel = 5, isMarking = false } = {}): Fake {
  const takes: Take[] = [];
  let begun = 0;
  const ending: (() => void)[] = [];
  const shortcut = { answer: (): void => undefined };
  const pace: Pace = {
    delivered: () => undefined,
    claimed: () => undefined,
    shed: () => undefined,
    isShort: () => short,
    inFlight: () => room,
    ahead: () => 0,
    aheadIn: () => Number.POSITIVE_INFINITY,
    batch: () => 3,
    gather: () => 0,
  };
  let now = 0;
  const clock = { now: () => now };
  const claims: number[] = [];
  const suspect = { waits: false };
  let isInTransaction = false;
  const wake = { wake: () => undefined, wait: async () => undefined };
  const slots = createSlots(size, { pace, wake, clock, onError: () => undefined });
  let id = 0;
  const row = () => ({
    id: `m${++id}`,
    claim_token: `t${id}`,
    kind: 'job',
    created: 0,
    lag: 0,
    due: id,
  });
  const executor = {
    executeSql: async (text: string, values: readonly unknown[] = []) => {
      if (!text.includes('outbox_claim_next')) {
        if (!isInTransaction) claims.push(values[0] as number);
        return { rows: Array.from({ length: values[0] as number }, row) };
      }
      await new Promise<void>((resolve) => (shortcut.answer = resolve));
      return { rows: [] };
    },
  } as unknown as Executor;
  const db = {
    ...executor,
    async transaction<T>(body: (tx: Transaction) => Promise<T>) {
      isInTransaction = true;
      const result = await body(executor as Transaction);
      isInTransaction = false;
      return result;
    },
  } as Database;
  const queue = {
    ready: async () => [
      { queue: 'jobs', alone: false },
      ...(suspect.waits ? [{ queue: 'jobs', alone: true }] : []),
    ],
    take: (_: Executor, name: string, alone: boolean, count: number) =>
      new Promise<Parcel[]>((resolve) => {
        const open = { queue: name, alone, priority: 0, ids: [], any: parcel };
        const one = (): void => void takes.splice(takes.indexOf(take), 1);
        const take: Take = {
          alone,
          messages: count * parcel,
          answer: () => (one(), resolve(alone ? [] : Array.from({ length: count }, () => open))),
        };
        takes.push(take);
      }),
    send: async () => undefined,
  } as unknown as ParcelQueue;
  const outbox = createMemoryOutbox();
  const worker = createWorker({
    queues: ['jobs'],
    slots,
    pace,
    clock,
    wake,
    isolation: createIsolation(clock, () => 0),
    limits: { room: () => undefined, started: () => undefined, ended: () => undefined },
    observe: () => undefined,
    onRelayed: () => undefined,
    onError: () => undefined,
    pollIntervalMs: 1_000,
    claims: {
      db,
      queue,
      outboxOn: () => outbox,
      workerId: 'w',
      leaseMs: 15_000,
      ...(isMarking ? { bookmarks: createBookmarks(clock) } : {}),
    },
    attempts: {
      leases: {
        hold: () => ({ signal: new Interruption(), isSafe: () => true }),
        drop: () => undefined,
        giveBack: () => undefined,
        renew: async () => 1_000,
      },
      gatekeeper: { judge: async (_, __, settlement) => settlement },
      settler: {
        settle: async ({ id }) => ({ id, status: 'delivered', seconds: 0 }),
        record: ({ id }, told) => queueMicrotask(() => told({ id, status: 'delivered', seconds: 0 })),
        pending: () => 0,
      },
      async deliver() {
        begun++;
        await new Promise<void>((resolve) => void ending.push(resolve));
        return { outcome: { type: 'delivered', then: [] }, backoff: defaultBackoff };
      },
      outboxOn: () => outbox,
      events: { attempted: () => undefined, rejected: () => undefined },
      clock,
      random: () => 0.5,
      nudge: () => undefined,
    },
  });
  return {
    worker,
    takes,
    shortcut,
    claims,
    suspect,
    pass: (ms) => void (now += ms),
    begun: () => begun,
    async deliver(count) {
      for (let left = count; left > 0; await turn()) {
        const its = ending.splice(0, left);
        if (its.length === 0) throw new Error('fewer have begun');
        left -= its.length;
        for (const end of its) end();
      }
    },
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

/** As the loop does: steps until one wants to wait, or waits for an answer. */
async function steps({ worker }: Fake): Promise<void> {
  let [delay, most] = [0, 20];
  const run = async (): Promise<void> => {
    while (delay === 0 && most-- > 0) delay = await worker.step();
  };
  void run();
  await turn();
  if (most <= 0) throw new Error('the loop asks without a pause');
}

/** All that there is room for is in flight, and the queue is known to have more. */
async function full(options?: Parameters<typeof fake>[0]): Promise<Fake> {
  const it = fake(options);
  await steps(it);
  it.takes[0]!.answer();
  await turn();
  return it;
}

const asked = ({ takes }: Fake): number[] => takes.map(({ messages }) => messages);

describe('the claims of a worker', () => {
  it('start no more than there is room for', async () => {
    const it = await full();
    expect(it.begun()).toBe(size);
    await it.deliver(room);
    expect(it.begun()).toBe(room);
    await steps(it);
    expect(asked(it)).toEqual([room]); // two parcels: how many messages are in one is known by now
  });

  it('F: for a message that wants the worker for itself wait until nothing runs', async () => {
    const it = await full();
    it.worker.hint('jobs/alone');
    it.suspect.waits = true;
    await steps(it);
    it.pass(1_000); // no other worker has taken it
    await it.deliver(room - 1);
    await steps(it);
    expect(it.takes).toEqual([]);
    await it.deliver(1);
    await steps(it);
    expect(it.takes.map(({ alone }) => alone)).toEqual([true]);
  });

  it('go on without a parcel where the last one found all that it wanted, until parcels come or the bookmark has had its time', async () => {
    const it = await full({ isMarking: true });
    it.worker.hint('jobs'); // of what it gave back itself
    await it.deliver(room);
    await steps(it);
    expect([it.claims, asked(it)]).toEqual([[room], []]);
    it.worker.hint('jobs');
    await it.deliver(room);
    await steps(it);
    expect([it.claims, asked(it)]).toEqual([[room], [room]]);
    it.takes[0]!.answer();
    await turn();
    await it.deliver(room);
    await steps(it);
    expect([it.claims, asked(it)]).toEqual([[room, room], []]);
    it.pass(5_000);
    await it.deliver(room);
    await steps(it);
    expect([it.claims, asked(it)]).toEqual([[room, room], [room]]);
  });

  it('F: that go on without a parcel wait too while a message wants the worker for itself', async () => {
    const it = await full({ isMarking: true });
    it.worker.hint('jobs/alone');
    it.suspect.waits = true;
    await steps(it);
    it.pass(1_000);
    await it.deliver(room - 1);
    await steps(it);
    await it.deliver(1);
    await steps(it);
    expect([it.claims, it.takes.map(({ alone }) => alone)]).toEqual([[], [true]]);
  });

  it('wait, and do not ask without a pause, while the shortcut asks for all that there is room for', async () => {
    const it = await full({ short: false });
    await it.deliver(4);
    it.worker.shortcut.heard('jobs');
    await turn();
    await steps(it);
    expect(it.takes).toHaveLength(0);
    it.shortcut.answer();
    await turn();
    await steps(it);
    expect(asked(it)).toEqual([5]);
  });
});
