import { AssertionError } from 'node:assert/strict';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMemoryOutbox } from '../../src/store/memory.ts';
import type { OutboxPort } from '../../src/outbox/port.ts';
import { outboxPortCases } from '../../src/testing/outbox-cases.ts';
import type { OutboxHarness } from '../../src/testing/outbox-case.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { postgresHarness } from '../support/outbox-harness.ts';

let database: TestDatabase | undefined;
afterAll(async () => database?.end());

function memoryHarness(wrong: (right: OutboxPort) => Partial<OutboxPort> = () => ({})): OutboxHarness {
  const outbox = createMemoryOutbox();
  const find = (id: string) => outbox.messages.find((m) => m.id === id)!;
  return {
    port: { ...outbox, ...wrong(outbox) },
    retry: async (id) => outbox.retry(id),
    see: async (id) => {
      const { status, attempts, lastError } = find(id);
      return { status, attempts, lastError };
    },
  };
}

const implementations: Record<string, () => Promise<OutboxHarness>> = {
  memory: async () => memoryHarness(),
  async Postgres() {
    database = await testDatabase();
    return postgresHarness(database.db);
  },
};

describe.each(Object.entries(implementations))('OutboxPort: %s', (_, make) => {
  let harness: OutboxHarness;
  beforeAll(async () => {
    harness = await make();
  });
  it.each(outboxPortCases.map((one) => [one.name, one] as const))('%s', (__, one) => one.run(harness));
});

/** Ports that are wrong in one way, and the case that must notice. */
const wrong: readonly [string, (right: OutboxPort) => Partial<OutboxPort>, string][] = [
  [
    'extends whatever it is told',
    () => ({ extend: async (claims) => claims.map((c) => c.id) }),
    'C: only the holder extends',
  ],
  [
    'reports nothing that it settled',
    () => ({ settle: async () => [] }),
    'a batch settles what it may and leaves the rest out of the answer',
  ],
  [
    'claims without a limit',
    ({ claimBatch }) => ({ claimBatch: (request) => claimBatch({ ...request, limit: 100 }) }),
    'claims no more than the limit, the most urgent first, and nothing that is not due',
  ],
  [
    'says yes to every token',
    () => ({ markDelivered: async () => true }),
    'C: a stale token settles nothing',
  ],
];

describe('the suite itself', () => {
  it.each(wrong)('a port that %s does not pass', async (_, spoil, name) => {
    const one = outboxPortCases.find((c) => c.name === name)!;
    await one.run(memoryHarness());
    await expect(one.run(memoryHarness(spoil))).rejects.toBeInstanceOf(AssertionError);
  });
});
