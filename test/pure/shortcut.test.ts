import { describe, expect, it } from 'vitest';
import type { Executor } from '../../src/db/executor.ts';
import type { Database } from '../../src/db/pool.ts';
import type { Session, Texts } from '../../src/db/session.ts';
import { claimHintedSql, claimNextSql } from '../../src/outbox/hinted.ts';
import { createShortcut } from '../../src/worker/shortcut.ts';
import { createIsolation } from '../../src/process/isolation.ts';
import { createSlots, type Work } from '../../src/worker/slots.ts';

const names: Readonly<Record<string, string>> = { [claimNextSql]: 'function', [claimHintedSql]: 'lane' };

/** A shortcut whose sessions remember what they were asked, and what a claim from a lane gives there; the function gives a message each time. */
function world() {
  const asked: string[] = [];
  const started: string[] = [];
  const errors: unknown[] = [];
  let told = 0;
  let rows: readonly Texts[] | Error = [];
  function session(isOwn = true): Session {
    let keeps = false;
    return {
      async executeSql<Row>(text: string) {
        asked.push(names[text]!);
        return { rows: [{ id: 'f', queue: 'jobs', payload: '{}', created: 0, lag: 0 }] as Row[] };
      },
      keepsPlans: () => keeps,
      keepPlans: async () => void (keeps = isOwn),
      ask(text, _, answered) {
        asked.push(names[text]!);
        if (rows instanceof Error) answered(rows, []);
        else answered(null, rows);
      },
    };
  }
  const pace = {
    delivered: () => undefined,
    claimed: () => undefined,
    shed: () => undefined,
    inFlight: () => 10,
    ahead: () => 3,
    isShort: () => false,
    aheadIn: () => Number.POSITIVE_INFINITY,
    batch: () => 1,
    gather: () => 0,
  };
  const clock = { now: () => 0 };
  const wake = { wake: () => undefined, wait: async () => undefined };
  const slots = createSlots(5, { pace, wake, clock, onError: () => undefined });
  const shortcut = createShortcut({
    queues: ['jobs', 'email'],
    slots,
    claims: { db: session() as Executor as Database, leaseMs: 15_000, workerId: 'w' } as Parameters<
      typeof createShortcut
    >[0]['claims'],
    others: () => 0,
    isolation: createIsolation(clock, () => 0),
    clock,
    start: (message) => void started.push(message.id),
    claimed: () => void told++,
    onError: (error) => void errors.push(error),
  });
  return {
    session,
    started,
    errors,
    told: () => told,
    /** Every slot is taken, and one waits for one. */
    fill(): void {
      const work: Work = { run: () => undefined, giveBack: async () => undefined, ended: () => undefined };
      for (let i = 0; i < 6; i++) slots.run(work);
    },
    /** What one nudge asks the database. */
    async nudge(
      hint: string,
      on: Session | undefined,
      inLane: readonly Texts[] | Error = [],
    ): Promise<string[]> {
      rows = inLane;
      asked.length = 0;
      shortcut.heard(hint, on);
      await new Promise((resolve) => setImmediate(resolve));
      return [...asked];
    },
  };
}

const row = (id: string): Texts => [id, 'job', 'noop', '{}', '10', 'token', null, null, null, '0.5', '0.001'];

describe('a nudge', () => {
  it('of one lane is answered with one statement for it where another was heard before', async () => {
    const { nudge, session, started } = world();
    const on = session();
    expect(await nudge('jobs:0', on)).toEqual(['function']);
    expect(await nudge('jobs:0', on, [row('a')])).toEqual(['lane']);
    expect(await nudge('jobs:5', on, [row('b')])).toEqual(['lane']);
    expect(await nudge('jobs:0', session(), [row('c')])).toEqual(['function']);
    expect(started).toEqual(['f', 'a', 'b', 'f']);
  });

  it('is answered with the function where it names several lanes, a queue, or none', async () => {
    const { nudge, session } = world();
    const on = session();
    await nudge('jobs:0', on);
    for (const hint of ['jobs:0 email:0', 'jobs:0 jobs:5', 'jobs', ''])
      expect(await nudge(hint, on)).toEqual(['function']);
    expect(await nudge('', undefined)).toEqual(['function']);
  });

  it('that brings nothing is told once', async () => {
    const { nudge, session, told } = world();
    const on = session();
    await nudge('jobs:0', on, [row('a')]);
    const before = told();
    expect(await nudge('jobs:0', on)).toEqual(['lane']);
    expect(told()).toBe(before + 1);
  });

  it('of a lane that is no more urgent than what waits for a slot is left to the relay', async () => {
    const { nudge, session, fill } = world();
    const on = session();
    await nudge('jobs:0', on);
    fill();
    expect(await nudge('jobs:0', on)).toEqual([]);
    expect(await nudge('jobs:1', on)).toEqual(['lane']);
  });

  it('behind a pooler, and where no nudge was heard, is answered with the function each time', async () => {
    const { nudge, session } = world();
    const on = session(false);
    for (const lane of ['jobs:0', 'jobs:1', 'jobs:2']) expect(await nudge(lane, on)).toEqual(['function']);
    for (const lane of ['email:0', 'email:1']) expect(await nudge(lane, undefined)).toEqual(['function']);
  });

  it('whose answer fails is told of, and starts nothing', async () => {
    const { nudge, session, started, errors } = world();
    const on = session();
    await nudge('jobs:0', on);
    const error = new Error('no database');
    expect(await nudge('jobs:0', on, error)).toEqual(['lane']);
    expect(errors).toEqual([error]);
    expect(started).toEqual(['f']);
  });
});
