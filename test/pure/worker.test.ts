// The claims of a worker. Real: the worker with its places, its room, its slots and its attempts, and the isolation. Doubled: the database (each
// statement is answered by the test), the pace (fixed figures), time, deliveries (they end when the test says so), leases and the settler.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Database } from '../../src/db/pool.ts';
import type { Answered, DedicatedConnection } from '../../src/db/dedicated.ts';
import type { Transaction } from '../../src/db/transaction.ts';
import { defaultBackoff } from '../../src/message/backoff.ts';
import { markBegunSql } from '../../src/outbox/begun.ts';
import {
  claimProbeSql,
  claimSomeSql,
  claimSql,
  claimSuspectProbeSql,
  claimSuspectSql,
} from '../../src/outbox/claim.ts';
import { dueSql } from '../../src/outbox/waiting.ts';
import { createMemoryOutbox } from '../../src/store/memory.ts';
import { createIsolation } from '../../src/process/isolation.ts';
import { createKnownLimits } from '../../src/worker/limits.ts';
import type { Permits } from '../../src/worker/permits.ts';
import { createWorker, type WorkerOptions } from '../../src/worker/worker.ts';

type Row = Readonly<Record<string, unknown>>;

/** A statement under way. */
type Asked = {
  readonly limit: number;
  readonly place: string;
  readonly begins: number;
  readonly from: number | null;
  /** A claim is answered with so many messages, the first of them beginning at once; any statement with these rows. */
  answer(rows: number | readonly Row[], about?: Row): Promise<void>;
  fail(error: Error): Promise<void>;
};

/** Long enough for what follows without the database: a slot frees, what begins is written down, it begins. */
async function turn(): Promise<void> {
  for (let i = 0; i < 6; i++) await new Promise((resolve) => setImmediate(resolve));
}

const columns =
  'id kind name payload attempts most token key request traceparent created prefetched due lag order';

type Options = {
  readonly size?: number;
  readonly ahead?: number;
  readonly queues?: readonly string[];
  /** Messages in flight in one process. */
  readonly limits?: Readonly<Record<string, number>>;
  /** Queues with a limit for the fleet. */
  readonly limited?: readonly string[];
  readonly permits?: ReadonlyMap<string, Permits>;
};

function world(options: Options = {}) {
  const { size = 4, ahead = 0, queues = ['jobs', 'email'], limits = {}, limited = [], permits } = options;
  let now = 0;
  let made = 0;
  const clock = { now: () => now };
  const asked = {
    claim: [] as Asked[],
    due: [] as Asked[],
    suspect: [] as Asked[],
    probe: [] as Asked[],
    alone: [] as Asked[],
    session: [] as Asked[],
  };
  const kinds = new Map([
    [claimSql, 'claim'],
    [claimSomeSql, 'claim'],
    [dueSql, 'due'],
    [claimSuspectSql, 'suspect'],
    [claimProbeSql, 'probe'],
    [claimSuspectProbeSql, 'alone'],
  ] as const);
  const running: { readonly id: string; readonly queue: string; end(): void }[] = [];
  const told = {
    claims: [] as unknown[],
    failures: [] as unknown[],
    errors: [] as unknown[],
    ends: [] as unknown[],
  };

  function ask(
    list: Asked[],
    values: readonly unknown[],
    done: (error: Error | null, rows: readonly Row[]) => void,
  ): void {
    const [limit, queue, priority, , , begins, from] = values;
    const one: Asked = {
      limit: Number(limit),
      place: `${String(queue)}:${String(priority)}`,
      begins: Number(begins),
      from: from as number | null,
      async answer(given, about = {}) {
        list.splice(list.indexOf(one), 1);
        const rowOf = (i: number): Row => ({
          id: `00000000-0000-7000-8000-${String(++made).padStart(12, '0')}`,
          kind: 'job',
          name: 'work',
          priority: String(priority),
          payload: '{}',
          attempts: '1',
          most: '10',
          token: 't',
          key: null,
          request: null,
          traceparent: null,
          created: String(made),
          prefetched: String(list === asked.claim || list === asked.session ? i >= Number(begins) : false),
          due: String(made),
          lag: '0.5',
          ...about,
        });
        done(null, typeof given === 'number' ? Array.from({ length: given }, (_, i) => rowOf(i)) : given);
        await turn();
      },
      async fail(error) {
        list.splice(list.indexOf(one), 1);
        done(error, []);
        await turn();
      },
    };
    list.push(one);
  }

  const executor = {
    executeSql(text: string, values: readonly unknown[] = []) {
      if (text === markBegunSql) return Promise.resolve({ rows: [] });
      const kind = kinds.get(text as never);
      if (kind === undefined) throw new Error(`an unknown statement: ${text}`);
      return new Promise((resolve, reject) =>
        ask(asked[kind], values, (error, rows) => (error ? reject(error) : resolve({ rows }))),
      );
    },
  };
  const db = {
    ...executor,
    transaction: <T>(body: (tx: Transaction) => Promise<T>) => body(executor as unknown as Transaction),
  } as unknown as Database;
  const session = (keepsPlans = true): DedicatedConnection =>
    ({
      keepsPlans,
      ask: (_: string, values: readonly unknown[], answered: Answered) =>
        ask(asked.session, values, (error, rows) =>
          answered(
            error,
            rows.map((row) => columns.split(' ').map((name) => row[name] as string | null)),
          ),
        ),
    }) as unknown as DedicatedConnection;

  const known = createKnownLimits(new Map(Object.entries(limits)), 1_000);
  const limitTexts = [
    ...[...(permits?.keys() ?? [])].map(
      (queue) => [queue, '{"rate":{"limit":1,"ms":1000,"burst":1}}'] as const,
    ),
    ...limited.map((queue) => [queue, '{"concurrency":4}'] as const),
  ];
  known.polled(new Map(limitTexts));
  const limitRows = limitTexts.map(([queue, text]) => ({ queue, priority: text, suspects: null }));
  const outbox = createMemoryOutbox();
  const ports: WorkerOptions = {
    queues,
    size,
    pace: {
      delivered: () => undefined,
      claimed: () => undefined,
      shed: () => undefined,
      marks: () => 0,
      isShort: () => false,
      inFlight: () => 2 * size,
      ahead: () => ahead,
      aheadIn: () => Number.POSITIVE_INFINITY,
      batch: () => 1,
      gather: () => 0,
    },
    limits: known,
    isolation: createIsolation(clock, () => 0),
    clock,
    wake: { wake: () => undefined, wait: async () => undefined },
    observe: () => undefined,
    onClaimed: (...facts) => void told.claims.push(facts),
    onClaimFailed: (error) => void told.failures.push(error),
    onError: (error) => void told.errors.push(error),
    pollIntervalMs: 1_000,
    claims: { db, workerId: 'w', leaseMs: 15_000, permitsOf: (queue) => permits!.get(queue)! },
    attempts: {
      leases: {
        hold: () => undefined,
        drop: () => undefined,
        isSafe: () => true,
        release: () => undefined,
        ended: async () => undefined,
        renew: async () => 1_000,
      },
      closer: { judge: async (_, __, settlement) => settlement, groupEnded: async () => undefined },
      settler: {
        settle: async ({ id, to }) => (told.ends.push(to), { id, status: 'pending', seconds: 0 }),
        record: ({ id }, attempt) =>
          queueMicrotask(() => attempt.recorded({ id, status: 'delivered', seconds: 0 })),
        pending: () => 0,
      },
      deliver: ({ id, queue }) =>
        new Promise((resolve) => {
          const one = {
            id,
            queue,
            end: () => (
              running.splice(running.indexOf(one), 1),
              resolve({ outcome: { type: 'delivered', then: [] }, backoff: defaultBackoff })
            ),
          };
          running.push(one);
        }),
      outboxOn: () => outbox,
      events: { attempted: () => undefined, rejected: () => undefined },
      clock,
      random: () => 0.5,
      notify: () => undefined,
    },
  };
  const worker = createWorker(ports);
  return {
    worker,
    asked,
    running,
    told,
    limitRows,
    session,
    pass: (ms: number) => void (now += ms),
    /** The oldest deliveries end. */
    async deliver(count: number): Promise<void> {
      for (const one of running.slice(0, count)) one.end();
      await turn();
    },
    /** Begins a step of the loop; its delay is known when its statements are answered. */
    async step(): Promise<{ readonly delay: Promise<number> }> {
      const delay = worker.step();
      delay.catch(() => undefined);
      await turn();
      return { delay };
    },
    /** A step whose poll finds this. */
    async poll(
      ...found: readonly { queue: string; priority?: number; suspects?: boolean; probe?: boolean }[]
    ): Promise<void> {
      worker.step().catch((error: unknown) => told.errors.push(error));
      await turn();
      const rows = found.map(({ queue, priority = 0, suspects = false, probe = false }) => ({
        queue,
        priority: String(priority),
        grouped: false,
        suspects,
        probe,
      }));
      await asked.due[0]!.answer([...rows, ...limitRows]);
    },
  };
}

const claims = ({ asked }: ReturnType<typeof world>): string[] =>
  asked.claim.map(({ limit, place }) => `${limit} of ${place}`);

describe('a claim', () => {
  it('is made where a NOTIFY, a wake-up or a poll says that work is, and takes what the slots can start', async () => {
    const it = world();
    it.worker.notified('jobs:0');
    expect(claims(it)).toEqual(['4 of jobs:0']);
    await it.asked.claim[0]!.answer(1);
    it.worker.announced([{ queue: 'email', priority: 2, messages: 8 }]);
    expect(claims(it)).toEqual(['3 of email:2']);
    await it.asked.claim[0]!.answer(1);
    await it.poll({ queue: 'jobs', priority: 7 });
    expect(claims(it)).toEqual(['2 of jobs:7']);
    await it.asked.claim[0]!.answer(0);
    expect([it.running.length, claims(it)]).toEqual([2, []]);
  });

  it('that is back full is followed by another at once, from where it ended, as soon as there is room', async () => {
    const it = world();
    it.worker.notified('jobs:0');
    await it.asked.claim[0]!.answer(4);
    expect(claims(it)).toEqual([]);
    await it.deliver(2);
    expect(claims(it)).toEqual(['2 of jobs:0']);
    expect(it.asked.claim[0]!.from).toBe(4); // when the last of the four became due
    await it.asked.claim[0]!.answer(1);
    expect([claims(it), it.asked.claim[0]!.from]).toEqual([['1 of jobs:0'], null]);
    await it.asked.claim[0]!.answer(0);
    await it.deliver(4);
    expect(claims(it)).toEqual([]);
  });

  it('K: follows the end of a message with an order key, because the next one of the key may be available', async () => {
    const it = world();
    it.worker.notified('jobs:3');
    await it.asked.claim[0]!.answer(1, { order: 'account 7' });
    expect(claims(it)).toEqual([]);
    await it.deliver(1);
    expect(claims(it)).toEqual(['4 of jobs:3']);
    await it.asked.claim[0]!.answer(1);
    await it.deliver(1);
    expect(claims(it)).toEqual([]);
  });

  it('B: follows one during which a NOTIFY came, although that found nothing', async () => {
    const it = world();
    it.worker.notified('jobs:0');
    it.worker.notified('jobs:0');
    expect(claims(it)).toEqual(['4 of jobs:0']);
    await it.asked.claim[0]!.answer(0);
    expect(claims(it)).toEqual(['4 of jobs:0']);
    await it.asked.claim[0]!.answer(0);
    expect(claims(it)).toEqual([]);
  });

  it('shares the room with another at the same priority, and what one leaves the other gets', async () => {
    const it = world();
    it.worker.notified('jobs:0 email:0');
    expect(claims(it)).toEqual(['2 of jobs:0', '2 of email:0']);
    await it.asked.claim[0]!.answer(0);
    await it.asked.claim[0]!.answer(2);
    expect(claims(it)).toEqual(['2 of email:0']);
  });

  it('at a lower priority gets what the higher one leaves', async () => {
    const it = world();
    it.worker.notified('jobs:0 email:5');
    expect(claims(it)).toEqual(['4 of email:5']);
    await it.asked.claim[0]!.answer(1);
    expect(claims(it)).toEqual(['3 of jobs:0']);
  });

  it('reports its messages: how late they are, and whether only a wake-up had named their place', async () => {
    const it = world();
    it.worker.announced([{ queue: 'jobs', priority: 0, messages: 9 }]);
    await it.asked.claim[0]!.answer(2);
    it.worker.notified('email:0');
    await it.asked.claim[0]!.answer(1);
    it.worker.notified('email:0');
    await it.asked.claim[0]!.answer(0);
    expect(it.told.claims).toEqual([
      ['jobs', [0.5, 0.5], true],
      ['email', [0.5], false],
    ]);
  });
});

describe('what is claimed before a slot is free', () => {
  it('is nothing before a claim was full, then as much as the pace says, and begins when slots free', async () => {
    const it = world({ ahead: 3 });
    it.worker.notified('jobs:0');
    expect(it.asked.claim[0]).toMatchObject({ limit: 4, begins: 4 });
    await it.asked.claim[0]!.answer(4);
    expect(it.asked.claim[0]).toMatchObject({ limit: 3, begins: 0 });
    await it.asked.claim[0]!.answer(3);
    expect([it.running.length, it.worker.slots.prefetched(), claims(it)]).toEqual([4, 3, []]);
    await it.deliver(1);
    expect([it.running.length, it.worker.slots.prefetched(), claims(it)]).toEqual([4, 2, ['1 of jobs:0']]);
    expect(it.asked.claim[0]!.begins).toBe(0);
  });

  it('is nothing after a claim that found less than was to begin and wait: the rest may be on its last attempt', async () => {
    const it = world({ ahead: 3 });
    it.worker.notified('jobs:0');
    await it.asked.claim[0]!.answer(4);
    await it.asked.claim[0]!.answer(1);
    expect(claims(it)).toEqual([]);
    await it.deliver(2);
    expect(it.asked.claim[0]).toMatchObject({ limit: 1, begins: 1 });
  });

  it('E: is nothing for 5 s of a queue in which a message was on its last attempt', async () => {
    const it = world({ ahead: 3 });
    it.worker.notified('jobs:0');
    await it.asked.claim[0]!.answer(4, { attempts: '10' });
    await it.deliver(3);
    expect(it.asked.claim[0]).toMatchObject({ limit: 3, begins: 3 });
    await it.asked.claim[0]!.answer(3);
    it.pass(5_000);
    await it.deliver(1);
    expect(it.asked.claim[0]).toMatchObject({ limit: 4, begins: 1 });
  });

  it('is claimed of what is more urgent although every slot is taken, and of nothing else', async () => {
    const it = world({ ahead: 2 });
    it.worker.notified('jobs:0');
    await it.asked.claim[0]!.answer(6);
    expect([it.worker.slots.room(), claims(it)]).toEqual([0, []]);
    it.worker.notified('email:0 email:-1');
    expect(claims(it)).toEqual([]);
    it.worker.notified('email:1');
    expect(it.asked.claim).toMatchObject([{ place: 'email:1', limit: 2, begins: 0 }]);
    await it.asked.claim[0]!.answer(1);
    await it.deliver(1);
    expect(it.running.map(({ queue }) => queue)).toEqual(['jobs', 'jobs', 'jobs', 'email']);
  });
});

describe('the room of a worker', () => {
  it.each(['email:0', 'email:9'])(
    '7: %s, which may not prefetch, gets a claim beside a backlog',
    async (place) => {
      const it = world({ ahead: 3, limits: { email: 1 } });
      it.worker.notified('jobs:0');
      await it.asked.claim[0]!.answer(7);
      it.worker.notified(place);
      const claimed = new Set<string>();
      for (let i = 0; i < 100; i++) {
        await it.deliver(1);
        const asked = Array.from(it.asked.claim);
        for (const one of asked) claimed.add(one.place);
        for (const one of asked) await one.answer(one.limit);
      }
      expect(claimed).toContain(place);
    },
  );

  it('one urgent message after the other is claimed although every slot is taken', async () => {
    const it = world({ ahead: 3 });
    it.worker.notified('jobs:0');
    await it.asked.claim[0]!.answer(7);
    it.worker.notified('email:1');
    await it.asked.claim[0]!.answer(1);
    it.worker.notified('email:1');
    expect(claims(it)).toEqual(['2 of email:1']);
  });

  it('D: is shared by urgent places', async () => {
    const it = world({ ahead: 3 });
    it.worker.notified('jobs:0');
    await it.asked.claim[0]!.answer(7);
    expect(it.worker.slots.urgent()).toEqual({ above: 0, count: 3 });
    it.worker.notified('email:1 jobs:2');
    expect(it.asked.claim.reduce((sum, { limit }) => sum + limit, 0)).toBe(3);
  });

  const place = fc.constantFrom('jobs:0', 'email:0', 'few:0');
  const step = fc.oneof(
    fc.record({ notify: place }),
    fc.record({ answer: fc.nat(2), messages: fc.nat(12) }),
    fc.record({ deliver: fc.nat(5) }),
  );

  it('L: is never exceeded by what is in flight and what claims under way may bring, nor is the limit of a queue', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.nat(4),
        fc.array(step, { maxLength: 50 }),
        async (size, ahead, script) => {
          const it = world({ size, ahead, queues: ['jobs', 'email', 'few'], limits: { few: 2 } });
          for (const one of script) {
            if ('notify' in one) it.worker.notified(one.notify);
            else if ('deliver' in one) await it.deliver(one.deliver);
            else {
              const claim = it.asked.claim[one.answer];
              await claim?.answer(Math.min(claim.limit, one.messages));
            }
            const asked = it.asked.claim.reduce((sum, { limit }) => sum + limit, 0);
            expect(it.worker.slots.busy() + asked).toBeLessThanOrEqual(size + ahead);
            expect(it.running.length).toBeLessThanOrEqual(size);
            const few = it.asked.claim
              .filter(({ place: its }) => its === 'few:0')
              .reduce((sum, { limit }) => sum + limit, 0);
            expect(it.running.filter(({ queue }) => queue === 'few').length + few).toBeLessThanOrEqual(2);
          }
          for (let i = 0; i < 200 && it.asked.claim.length + it.worker.slots.busy() > 0; i++) {
            await it.asked.claim[0]?.answer(0);
            await it.deliver(size);
          }
          expect([it.worker.slots.busy(), it.told.errors]).toEqual([0, []]);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('L: of a queue with a limit is counted over all its priorities, and what it prefetches is nothing', async () => {
    const it = world({ ahead: 4, queues: ['few'], limits: { few: 3 } });
    it.worker.notified('few:0 few:1');
    expect(it.asked.claim).toMatchObject([{ place: 'few:1', limit: 3, begins: 3 }]);
    await it.asked.claim[0]!.answer(2);
    expect(claims(it)).toEqual(['1 of few:0']);
    await it.asked.claim[0]!.answer(1);
    await it.deliver(1);
    expect(claims(it)).toEqual(['1 of few:0']);
  });

  it('L: of a queue with a rate is as many permits as there are, and the queue rests until there are more', async () => {
    const wanted: number[] = [];
    const come = async (): Promise<boolean> => true;
    const rate: Permits = async (_, want) => ({
      count: (wanted.push(want), 2),
      restMs: 300,
      book: async (count) => Array.from({ length: count }, () => ({ come, spend: (handover) => handover })),
    });
    const it = world({ queues: ['jobs', 'email'], permits: new Map([['email', rate]]) });
    it.worker.notified('email:0');
    await turn();
    expect([wanted, claims(it)]).toEqual([[4], ['2 of email:0']]);
    await it.asked.claim[0]!.answer(2);
    it.pass(299);
    it.worker.notified(''); // begins what there is a reason for
    await turn();
    expect([it.running.length, wanted, claims(it)]).toEqual([2, [4], []]);
    it.pass(1);
    it.worker.notified('');
    await turn();
    expect([wanted, claims(it)]).toEqual([[4, 2], ['2 of email:0']]);
  });

  it('L: of a queue with a rate that leaves permits over comes to rest: nothing more is due', async () => {
    let bookings = 0;
    const rate: Permits = async () => ({ count: (bookings++, 2), restMs: 300, book: async () => [] });
    const it = world({ permits: new Map([['email', rate]]) });
    await it.poll();
    it.worker.notified('email:0');
    await turn();
    await it.asked.claim[0]!.answer(1);
    await it.deliver(1);
    const pass = async (ms: number): Promise<void> => {
      for (let left = ms; left > 0; left -= 25) {
        it.pass(25);
        const { delay } = await it.step();
        await it.asked.claim[0]?.answer(0);
        await it.asked.due[0]?.answer(it.limitRows);
        await delay;
      }
    };
    await pass(4_000);
    const before = bookings;
    await pass(4_000);
    expect(bookings - before).toBe(0);
    it.worker.notified('email:0');
    await turn();
    expect(claims(it)).toEqual(['2 of email:0']);
  });
});

describe('the loop of a worker', () => {
  it('waits for a poll where a place has work and no slot is free: whatever makes room begins the claim', async () => {
    const it = world();
    await it.poll();
    it.worker.notified('jobs:0');
    await it.asked.claim[0]!.answer(4);
    const step = await it.step();
    expect(await step.delay).toBeGreaterThan(100);
  });

  it('B: polls again after a NOTIFY that names no place and comes during a poll', async () => {
    const it = world();
    await it.step();
    it.worker.notified('');
    await it.asked.due[0]!.answer([]);
    await it.step();
    expect(it.asked.due).toHaveLength(1);
  });

  it('polls in its first step and then once in an interval, and waits for the next poll when nothing is known', async () => {
    const it = world();
    const first = await it.step();
    await it.asked.due[0]!.answer([]);
    expect(await first.delay).toBe(1_000);
    it.pass(999);
    const second = await it.step();
    expect([await second.delay, it.asked.due.length]).toEqual([1, 0]);
    it.pass(1);
    await it.step();
    expect(it.asked.due).toHaveLength(1);
  });

  it('polls at once after a NOTIFY that names no place', async () => {
    for (const payload of ['', 'jobs']) {
      const it = world();
      await it.poll();
      it.worker.notified(payload);
      expect(claims(it)).toEqual([]);
      await it.poll({ queue: 'jobs', priority: 3 });
      expect(claims(it)).toEqual(['4 of jobs:3']);
      await it.asked.claim[0]!.answer(0);
      await it.step();
      expect(it.asked.due).toEqual([]);
    }
  });

  it('B: polls again in the next step after a poll that failed', async () => {
    const it = world();
    const step = await it.step();
    await it.asked.due[0]!.fail(new Error('no database'));
    await expect(step.delay).rejects.toThrow('no database');
    await it.step();
    expect(it.asked.due).toHaveLength(1);
  });

  it('B: answers a NOTIFY after the delay that empty claims have brought about', async () => {
    const it = world();
    await it.poll();
    for (let i = 0; i < 5; i++) {
      it.worker.announced([{ queue: 'jobs', priority: 0, messages: 1 }]);
      await it.asked.claim[0]!.answer(0);
    }
    it.worker.notified('jobs:0');
    expect(claims(it)).toEqual([]);
    const step = await it.step();
    expect(await step.delay).toBe(8);
    it.pass(8);
    await it.step();
    expect(claims(it)).toEqual(['4 of jobs:0']);
  });

  it('knows a queue as idle while nothing is known of it and a slot is free', async () => {
    const it = world({ size: 1 });
    expect(it.worker.isIdle('jobs')).toBe(true);
    it.worker.notified('jobs:0');
    expect([it.worker.isIdle('jobs'), it.worker.isIdle('email')]).toEqual([false, true]);
    await it.asked.claim[0]!.answer(1);
    expect(it.worker.isIdle('email')).toBe(false);
    await it.deliver(1);
    expect(it.worker.isIdle('jobs')).toBe(false);
    for (let i = 0; i < 2; i++) await it.asked.claim[0]!.answer(0); // from the bookmark, and from the first
    expect([it.worker.isIdle('jobs'), it.worker.isIdle('email')]).toEqual([true, true]);
  });
});

describe('a queue with a limit for the fleet', () => {
  it('B: is claimed from at once when a NOTIFY comes, although the claim before brought less than was wanted', async () => {
    const it = world({ limited: ['jobs'] });
    it.worker.notified('jobs:0');
    await it.asked.claim[0]!.answer(1);
    expect(claims(it)).toEqual([]);
    it.worker.notified('jobs:0');
    expect(claims(it)).toEqual(['3 of jobs:0']);
  });

  it('L: is claimed from again when a message of it has ended here, or after 25 ms, then later each time', async () => {
    const it = world({ limited: ['jobs'] });
    await it.poll();
    it.worker.notified('jobs:0');
    await it.asked.claim[0]!.answer(2);
    await it.deliver(1);
    expect(claims(it)).toEqual(['3 of jobs:0']);
    await it.asked.claim[0]!.answer(0);
    for (const ms of [50, 100]) {
      it.pass(ms - 1);
      await it.step();
      expect(claims(it)).toEqual([]);
      it.pass(1);
      await it.step();
      expect(claims(it)).toEqual(['3 of jobs:0']);
      await it.asked.claim[0]!.answer(0);
    }
  });
});

describe('a claim that fails', () => {
  it('B: is reported and made again after 50 ms, then after twice as long each time, up to a poll interval', async () => {
    const it = world();
    await it.poll();
    it.worker.notified('jobs:0');
    for (const [i, pause] of [50, 100, 200, 400, 800, 1_000, 1_000].entries()) {
      const error = new Error(`failure ${i}`);
      await it.asked.claim[0]!.fail(error);
      expect(it.told.failures.at(-1)).toBe(error);
      it.pass(pause - 1);
      it.worker.notified('jobs:0');
      expect(claims(it)).toEqual([]);
      it.pass(1);
      it.worker.notified('jobs:0');
      expect(claims(it)).toEqual(['4 of jobs:0']);
    }
    await it.asked.claim[0]!.answer(0);
    it.worker.notified('jobs:0');
    await it.asked.claim[0]!.fail(new Error('again'));
    it.pass(50);
    it.worker.notified('jobs:0');
    expect(claims(it)).toEqual(['4 of jobs:0']);
  });

  it('gives its room back, and claims elsewhere go on', async () => {
    const it = world();
    it.worker.notified('jobs:0');
    await it.asked.claim[0]!.fail(new Error('no'));
    it.worker.notified('email:0');
    expect(claims(it)).toEqual(['4 of email:0']);
  });
});

describe('the connection that listens', () => {
  it('B: that brings what nobody can read fails the claim, and the worker ends as always', async () => {
    const it = world();
    it.worker.notified('jobs:0', it.session());
    await it.asked.session[0]!.answer(1, { payload: 'x' }).catch(() => undefined);
    let closed = false;
    void it.worker.close().then(() => (closed = true));
    await turn();
    expect(closed).toBe(true);
  });

  it('carries the claims that its NOTIFY leads to, and no other', async () => {
    const it = world();
    it.worker.notified('jobs:0 email:0', it.session());
    expect([it.asked.session.map(({ place }) => place), claims(it)]).toEqual([['jobs:0', 'email:0'], []]);
    await it.asked.session[0]!.answer(2);
    expect(it.running.map(({ queue }) => queue)).toEqual(['jobs', 'jobs']);
    await it.asked.session[0]!.answer(0);
    expect([it.asked.session, claims(it)]).toEqual([[], ['2 of jobs:0']]);
  });

  it('carries none behind a pooler, nor of a queue with a rate', async () => {
    const rate: Permits = async () => ({ count: 1, restMs: 0, book: async () => [] });
    const it = world({ permits: new Map([['email', rate]]) });
    it.worker.notified('jobs:0', it.session(false));
    await it.asked.claim[0]!.answer(0);
    it.worker.notified('email:0', it.session());
    await turn();
    expect([it.asked.session, claims(it)]).toEqual([[], ['1 of email:0']]);
  });

  it('B: that breaks during a claim loses none: the error is reported and the claim is made elsewhere', async () => {
    const it = world();
    it.worker.notified('jobs:0', it.session());
    await it.asked.session[0]!.fail(new Error('gone'));
    expect(it.told.failures).toEqual([new Error('gone')]);
    it.pass(50);
    await it.poll();
    expect([it.asked.session, claims(it)]).toEqual([[], ['4 of jobs:0']]);
  });
});

describe('a suspect', () => {
  const suspect = { queue: 'jobs', suspects: true };

  it('F: is claimed when nothing is in flight, and nothing is claimed beside it', async () => {
    const it = world();
    it.worker.notified('email:0');
    await it.asked.claim[0]!.answer(1);
    it.pass(300); // an email takes long
    await it.deliver(1);
    it.worker.notified('email:0');
    await it.asked.claim[0]!.answer(2);
    await it.poll(suspect);
    it.pass(1_000); // no other worker has taken it
    await it.poll(suspect);
    it.worker.notified('email:0');
    expect(claims(it)).toEqual([]);
    await it.deliver(1);
    await it.step();
    expect([it.asked.suspect.length, it.running.length]).toEqual([0, 1]);
    await it.deliver(1);
    await it.step();
    expect([it.asked.suspect.length, claims(it)]).toEqual([1, []]);
  });

  it('F: that runs lets other queues wait until it is recorded; then they go on, and the next poll is at once', async () => {
    const it = world();
    await it.poll(suspect);
    await it.asked.suspect[0]!.answer(1);
    it.worker.notified('email:0');
    await it.step();
    expect([it.running.length, claims(it)]).toEqual([1, []]);
    await it.deliver(1);
    await it.step();
    await it.asked.due[0]!.answer([]);
    expect(claims(it)).toEqual(['4 of email:0']);
  });

  it('F: that another worker has taken, or whose claim fails, stops nothing', async () => {
    const it = world();
    await it.poll(suspect);
    await it.asked.suspect[0]!.answer(0);
    it.worker.notified('email:0');
    expect(claims(it)).toEqual(['4 of email:0']);
    const other = world();
    await other.poll(suspect);
    await other.asked.suspect[0]!.fail(new Error('no'));
    expect(other.told.errors).toEqual([new Error('no')]);
    other.worker.notified('email:0');
    expect(claims(other)).toEqual(['4 of email:0']);
  });

  it('F: holds up nothing while the database that has it does not answer', async () => {
    const it = world();
    it.worker.notified('email:0');
    await it.asked.claim[0]!.answer(2);
    it.pass(300); // an email takes long
    await it.deliver(1);
    await it.poll(suspect);
    it.pass(1_000); // no other worker has taken it
    it.worker.notified('email:0');
    expect(claims(it)).toEqual([]);
    const { delay } = await it.step();
    await it.asked.due[0]!.fail(new Error('away'));
    await expect(delay).rejects.toThrow('away');
    it.worker.notified('email:0');
    expect(claims(it)).toEqual(['3 of email:0']);
  });

  it('F: of a parked queue is its probe, and is claimed as one', async () => {
    const it = world();
    await it.poll({ ...suspect, probe: true });
    expect([it.asked.alone.length, it.asked.suspect.length, it.asked.probe.length]).toEqual([1, 0, 0]);
  });
});

describe('the probe of a parked queue', () => {
  it('is one message for each poll that names it, and is no claim of its places', async () => {
    const it = world();
    await it.poll({ queue: 'email', probe: true });
    expect([it.asked.probe.length, claims(it)]).toEqual([1, []]);
    await it.asked.probe[0]!.answer(1);
    await it.step();
    expect([it.running.map(({ queue }) => queue), it.asked.probe, claims(it)]).toEqual([['email'], [], []]);
  });

  it('is left to others where no slot is free, and lets no suspect begin while it is being claimed', async () => {
    const it = world({ size: 1 });
    it.worker.notified('jobs:0');
    await it.asked.claim[0]!.answer(1);
    await it.poll({ queue: 'email', probe: true });
    expect(it.asked.probe).toEqual([]);
    const other = world();
    await other.poll({ queue: 'email', probe: true }, { queue: 'jobs', suspects: true });
    await other.step();
    expect([other.asked.probe.length, other.asked.suspect.length]).toEqual([1, 0]);
  });
});

describe('a worker that closes', () => {
  it('claims nothing more, and waits for the claims that are under way; what they bring is released', async () => {
    const it = world();
    it.worker.notified('jobs:0 email:0');
    let closed = false;
    const closing = it.worker.close().then(() => (closed = true));
    await it.asked.claim[0]!.answer(2);
    expect([closed, it.running]).toEqual([false, []]);
    await it.asked.claim[0]!.fail(new Error('no'));
    await closing;
    it.worker.notified('jobs:0');
    it.worker.announced([{ queue: 'email', priority: 0, messages: 1 }]);
    await it.step();
    expect([claims(it), it.told.ends]).toEqual([[], ['released', 'released']]);
  });

  it('lets what runs end, releases what waits for a slot, and is idle then', async () => {
    const it = world({ size: 1, ahead: 2 });
    it.worker.notified('jobs:0');
    await it.asked.claim[0]!.answer(3);
    await it.worker.close();
    let idle = false;
    void it.worker.idle().then(() => (idle = true));
    await turn();
    expect([it.told.ends, it.running.length, idle]).toEqual([['released', 'released'], 1, false]);
    await it.deliver(1);
    expect([idle, it.worker.slots.busy()]).toEqual([true, 0]);
  });
});
