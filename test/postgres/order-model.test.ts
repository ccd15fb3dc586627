// Order keys against a model (invariant K): any sequence of recording, claiming, ending, cancelling, retrying and unblocking makes available what the
// model says, and nothing else. Real: Postgres, and the outbox in memory. The model is a list.

import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ClaimedMessage, NewMessage } from '../../src/message/message.ts';
import { newId } from '../../src/message/id.ts';
import { cancelMessage, retryMessage } from '../../src/operate/operate.ts';
import { unblockKey } from '../../src/operate/order.ts';
import type { OutboxPort } from '../../src/outbox/port.ts';
import { createMemoryOutbox } from '../../src/store/memory.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => void (database = await testDatabase()));
afterAll(() => database.end());

/** What a port cannot do, and people do. */
type People = {
  retry(id: string): Promise<unknown>;
  cancel?(id: string): Promise<unknown>;
  unblock?(queue: string, orderKey: string): Promise<unknown>;
};

type State = 'waiting' | 'sending' | 'delivered' | 'dead' | 'cancelled';
type Model = {
  readonly id: string;
  readonly key: string | undefined;
  skips: boolean;
  state: State;
  isBehind: boolean;
  claim?: ClaimedMessage;
};

type Step =
  | { readonly do: 'record'; readonly keys: readonly (string | undefined)[]; readonly skips: boolean }
  | { readonly do: 'claim'; readonly limit: number }
  | {
      readonly do: 'deliver' | 'fail' | 'kill' | 'release' | 'cancel' | 'retry' | 'dismiss' | 'unblock';
      readonly nth: number;
    };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('record' as const),
      keys: fc.array(fc.constantFrom('a', 'b', undefined), { minLength: 1, maxLength: 3 }),
      skips: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('claim' as const), limit: fc.integer({ min: 1, max: 4 }) }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'deliver',
        'deliver',
        'fail',
        'kill',
        'kill',
        'release',
        'cancel',
        'retry',
        'dismiss',
        'unblock',
      ),
      nth: fc.nat({ max: 20 }),
    }) as fc.Arbitrary<Step>,
  },
);

const isUnfinished = ({ state, skips }: Model): boolean =>
  state === 'waiting' || state === 'sending' || (state === 'dead' && !skips);

function advance(all: readonly Model[], key: string | undefined): void {
  const its = all.filter((one) => one.key === key && key !== undefined && isUnfinished(one));
  if (its.length > 0 && its.every(({ isBehind }) => isBehind)) its[0]!.isBehind = false;
}

/** Which messages a step may concern. */
const concerned: Readonly<Record<Exclude<Step['do'], 'record' | 'claim'>, (one: Model) => boolean>> = {
  deliver: ({ state }) => state === 'sending',
  fail: ({ state }) => state === 'sending',
  kill: ({ state }) => state === 'sending',
  release: ({ state }) => state === 'sending',
  cancel: ({ state }) => state === 'waiting',
  retry: ({ state }) => state === 'dead' || state === 'cancelled',
  dismiss: ({ state, skips, key }) => state === 'dead' && !skips && key !== undefined,
  unblock: ({ state, skips, key }) => state === 'dead' && !skips && key !== undefined,
};

async function run(port: OutboxPort, people: People, steps: readonly Step[]): Promise<void> {
  const queue = `q-${newId()}`;
  const all: Model[] = [];

  async function record({ keys, skips }: Extract<Step, { do: 'record' }>): Promise<void> {
    const messages = keys.map((orderKey): NewMessage => {
      const more = { orderKey, onDead: skips ? ('skip' as const) : undefined, maxAttempts: 1_000 };
      return { kind: 'job', name: 'n', queue, payload: {}, ...more };
    });
    for (const [i, { id }] of (await port.enqueue(messages)).entries()) {
      const key = keys[i];
      all.push({ id, key, skips: skips && key !== undefined, state: 'waiting', isBehind: key !== undefined });
    }
    for (const key of new Set(keys)) advance(all, key);
  }

  async function claim(limit: number): Promise<void> {
    const free = all.filter(({ state, isBehind }) => state === 'waiting' && !isBehind);
    const claimed = await port.claimBatch({ limit, leaseMs: 60_000, workerId: 'w', queues: [queue] });
    const ids = free.map(({ id }) => id);
    expect(claimed.filter(({ id }) => !ids.includes(id))).toEqual([]);
    expect(claimed).toHaveLength(Math.min(limit, free.length));
    for (const one of claimed)
      Object.assign(
        all.find(({ id }) => id === one.id)!,
        { state: 'sending', claim: one },
      );
  }

  async function end(one: Model, how: keyof typeof concerned): Promise<void> {
    const { id, claimToken } = one.claim ?? { id: one.id, claimToken: '' };
    switch (how) {
      case 'deliver':
        expect(await port.markDelivered(id, claimToken)).toBe(true);
        one.state = 'delivered';
        break;
      case 'fail':
        expect(await port.markFailed(id, claimToken, 'no')).toBe(true);
        one.state = 'waiting';
        break;
      case 'kill':
        expect(await port.markFailed(id, claimToken, 'no', { permanent: true })).toBe(true);
        one.state = 'dead';
        break;
      case 'release':
        expect(await port.settle([{ id, claimToken, to: 'released', error: null, delay: 0 }])).toHaveLength(
          1,
        );
        one.state = 'waiting';
        break;
      case 'cancel':
        expect(await port.cancel(id)).toBe(true);
        one.state = 'cancelled';
        break;
      case 'retry':
        await people.retry(id);
        Object.assign(one, { state: 'waiting', isBehind: one.key !== undefined });
        break;
      case 'dismiss':
        if (!people.cancel) return;
        await people.cancel(id);
        one.state = 'cancelled';
        break;
      case 'unblock':
        if (!people.unblock) return;
        await people.unblock(queue, one.key!);
        for (const other of all.filter((m) => m.key === one.key && concerned.unblock(m))) other.skips = true;
        break;
    }
    advance(all, one.key);
  }

  for (const one of steps) {
    if (one.do === 'record') await record(one);
    else if (one.do === 'claim') await claim(one.limit);
    else {
      const possible = all.filter(concerned[one.do]);
      if (possible.length > 0) await end(possible[one.nth % possible.length]!, one.do);
    }
  }
  await claim(100);
}

const steps = fc.array(step, { minLength: 5, maxLength: 60 });

it('K: on Postgres', { timeout: 120_000 }, async () => {
  const port = createPostgresOutbox(database.db);
  const people: People = {
    retry: (id) => retryMessage(database.db, id),
    cancel: (id) => cancelMessage(database.db, id),
    unblock: (queue, orderKey) => unblockKey(database.db, { queue, orderKey }, { by: 'test', reason: null }),
  };
  await fc.assert(
    fc.asyncProperty(steps, (its) => run(port, people, its)),
    { numRuns: 60 },
  );
  const left = await database.db.executeSql('select from waybill.outbox_order_changes');
  expect(left.rows).toEqual([]);
});

it('K: in memory', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (its) => {
      const outbox = createMemoryOutbox();
      await run(outbox, { retry: async (id) => outbox.retry(id) }, its);
    }),
    { numRuns: 300 },
  );
});
