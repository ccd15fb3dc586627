import { describe, expect, it } from 'vitest';
import type { Executor } from '../../src/db/executor.ts';
import type { Database } from '../../src/db/pool.ts';
import { byIndexAlone } from '../../src/db/prepared.ts';
import { claimNextSql, claimTopSql } from '../../src/outbox/top-lane.ts';
import { createShortcut } from '../../src/worker/shortcut.ts';
import { createSlots } from '../../src/worker/slots.ts';

const names: Readonly<Record<string, string>> = {
  [claimNextSql]: 'function',
  [claimTopSql]: 'top',
  [byIndexAlone]: 'settings',
};

/** A shortcut whose sessions remember what they were asked, and what a claim of the top lane gives there. */
function world() {
  const asked: string[] = [];
  const started: string[] = [];
  let told = 0;
  let rows: readonly object[] = [];
  const session = (): Executor => ({
    async executeSql<Row>(text: string) {
      asked.push(names[text]!);
      return { rows: (text === claimTopSql ? rows : []) as Row[] };
    },
  });
  const pace = {
    delivered: () => undefined,
    claimed: () => undefined,
    inFlight: () => 10,
    ahead: () => 0,
    isShort: () => false,
    aheadIn: () => Number.POSITIVE_INFINITY,
    batch: () => 1,
    gather: () => 0,
  };
  const clock = { now: () => 0 };
  const wake = { wake: () => undefined, wait: async () => undefined };
  const shortcut = createShortcut({
    queues: ['jobs', 'email'],
    slots: createSlots(5, { pace, wake, clock, onError: () => undefined }),
    claims: { db: session() as Database, leaseMs: 15_000, workerId: 'w' } as Parameters<
      typeof createShortcut
    >[0]['claims'],
    others: () => 0,
    clock,
    start: (message) => void started.push(message.id),
    claimed: () => void told++,
    onError: (error) => {
      throw error;
    },
  });
  return {
    session,
    started,
    told: () => told,
    /** What one nudge asks the database. */
    async nudge(hint: string, on: Executor | undefined, top: readonly object[] = []): Promise<string[]> {
      rows = top;
      asked.length = 0;
      shortcut.heard(hint, on);
      await new Promise((resolve) => setImmediate(resolve));
      return [...asked];
    },
  };
}

const row = (id: string, others: boolean) => ({
  id,
  claim_token: id,
  created: 0,
  lag: 0,
  priority: 0,
  others,
});

describe('a nudge', () => {
  it('of one queue is answered with one statement where another was heard before', async () => {
    const { nudge, session, started } = world();
    const on = session();
    expect(await nudge('jobs', on)).toEqual(['function', 'settings']);
    expect(await nudge('jobs', on, [row('a', false)])).toEqual(['top']);
    expect(await nudge('jobs', session(), [row('b', false)])).toEqual(['function', 'settings']);
    expect(started).toEqual(['a']);
  });

  it('is answered with the function too where other lanes may have something, and where it names several queues or none', async () => {
    const { nudge, session, started } = world();
    const on = session();
    await nudge('jobs', on);
    expect(await nudge('jobs', on, [row('a', true)])).toEqual(['top', 'function']);
    expect(started).toEqual(['a']);
    expect(await nudge('jobs email', on)).toEqual(['function']);
    expect(await nudge('', undefined)).toEqual(['function']);
  });

  it('that brings nothing is told once', async () => {
    const { nudge, session, told } = world();
    const on = session();
    await nudge('jobs', on, [row('a', false)]);
    const before = told();
    expect(await nudge('jobs', on)).toEqual(['top', 'function']);
    expect(told()).toBe(before + 1);
  });
});
