// A small model of one queue. Searched breadth-first, every state of it keeps the invariants, and every step does the same to the outbox in memory.
// Sampled paths do the same to Postgres. Doubled: time passes by a clock, or by moving the times of all rows into the past.
// MODEL_DEEPER=2 searches two steps further, MODEL_PATHS=2000 samples so many paths of each scenario, MODEL_SEED=7 others: a failure
// prints its path.

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { MemoryWorld, type Spoil } from '../support/model/memory-world.ts';
import { PostgresWorld } from '../support/model/postgres-world.ts';
import { scenarios, walked } from '../support/model/scenarios.ts';
import { search } from '../support/model/search.ts';
import { walk } from '../support/model/walk.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

const deeper = Number(process.env['MODEL_DEEPER'] ?? 0);
const numRuns = Number(process.env['MODEL_PATHS'] ?? 30);
/** The same paths in every run; another seed samples others. */
const seed = Number(process.env['MODEL_SEED'] ?? 1);
const timeout = 60_000 * (1 + 10 * deeper) + 1_000 * numRuns;

describe('the model and the outbox in memory', () => {
  it.each(scenarios.map((one) => [one.name, one] as const))(
    'A to K: %s: every state that can be reached keeps the invariants, and memory is in the same state',
    { timeout },
    async (name, scenario) => {
      const { states, edges, depth, seconds } = await search(
        { ...scenario, depth: scenario.depth + deeper },
        new MemoryWorld(),
      );
      console.log(`${name}: ${states} states, ${edges} steps, depth ${depth}, ${seconds.toFixed(1)} s`);
      expect(states).toBeGreaterThan(1_000);
    },
  );
});

/** Outboxes that are wrong in one way. */
const wrong: readonly [string, string, Spoil][] = [
  [
    'settles under any token',
    scenarios[0]!.name,
    (right) => ({
      settle: (all) =>
        right.settle(
          all.map((one) => {
            const { claimToken } = right.messages.find(({ id }) => id === one.id)!;
            return { ...one, claimToken: claimToken ?? one.claimToken };
          }),
        ),
    }),
  ],
  [
    'leaves an expired lease to the next sweep when a message waits',
    scenarios[0]!.name,
    (right) => ({
      expire: (limit) => right.expire(right.messages.some((m) => m.status === 'failed') ? 0 : limit),
    }),
  ],
  [
    'lets a retried message go first in its order key',
    scenarios[1]!.name,
    (right) => ({
      async claimBatch(request) {
        for (const message of right.messages) if (message.wasClaimed) message.isBehind = false;
        return right.claimBatch(request);
      },
    }),
  ],
];

describe('the search itself', () => {
  it.each(wrong)('notices an outbox that %s', { timeout }, async (_, name, spoil) => {
    const scenario = scenarios.find((one) => one.name === name)!;
    await expect(search(scenario, new MemoryWorld(spoil))).rejects.toThrow(/differ[^]*\n {2}1\. record/);
  });
});

const choices = fc.array(fc.nat({ max: 100_000 }), { minLength: 10, maxLength: 20 });

describe('the model and Postgres', () => {
  let database: TestDatabase;
  beforeAll(async () => void (database = await testDatabase()));
  afterAll(() => database.end());

  it.each(walked.map((one) => [one.name, one] as const))(
    'A to K: %s: on sampled paths, each answer and each row is that of the model',
    { timeout },
    async (_, scenario) => {
      const property = fc.asyncProperty(choices, async (its) => {
        await walk(await new PostgresWorld(database.db).begin(), scenario, its);
      });
      await fc.assert(property, { numRuns, seed, interruptAfterTimeLimit: timeout - 10_000 });
      const late = await database.db.executeSql('select from waybill.outbox_order_changes');
      expect(late.rows).toEqual([]);
      expect((await verifyOutbox(database.db)).findings).toEqual([]);
    },
  );
});
