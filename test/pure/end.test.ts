// The end of an attempt: how it is classified, recorded and reported. Real: src/worker/end.ts. Doubled: the handler's transaction, the settler, the
// outbox and the receiver of events, which note what they were given.

import { describe, expect, it } from 'vitest';
import type { LazyTransaction } from '../../src/db/lazy.ts';
import type { Delivery } from '../../src/delivery/delivery.ts';
import { defaultBackoff } from '../../src/message/backoff.ts';
import type { ClaimedMessage, Status } from '../../src/message/message.ts';
import type { Failure, Outcome, Settlement } from '../../src/message/outcome.ts';
import type { OutboxPort, Settled } from '../../src/outbox/port.ts';
import {
  closes,
  concernsQueue,
  endOf,
  outcomeOf,
  placesOf,
  recordEnd,
  released,
  report,
  type AttemptEvents,
  type Ended,
} from '../../src/worker/end.ts';

const message = { id: 'm', queue: 'jobs', probe: false } as ClaimedMessage;
const delivered: Outcome = { type: 'delivered', then: [] };
const failure = (type: Failure['type'], more: Partial<Failure> = {}): Outcome => ({
  type: 'failure',
  failure: { type, message: 'why', ...more },
});
const delivery = (outcome: Outcome, more: Partial<Delivery> = {}): Delivery => ({
  outcome,
  backoff: { ...defaultBackoff, initial: 7 },
  ...more,
});
const conflict = Object.assign(new Error('could not serialize access'), { code: '40001', severity: 'ERROR' });

describe('a delivery that was ordered to end', () => {
  const [going, aborted] = [new AbortController(), new AbortController()];
  aborted.abort();

  it('is released if it failed, with all else as it was', () => {
    const failed = delivery(failure('transient'), { once: true });
    expect(endOf(failed, aborted.signal)).toEqual({
      ...failed,
      outcome: { type: 'released', reason: null, delay: 0 },
    });
    expect(endOf(delivery(failure('permanent', { ambiguous: false })), aborted.signal).outcome).toBe(
      released.outcome,
    );
  });

  it('D: counts if it was delivered, or may have been', () => {
    for (const outcome of [delivered, failure('transient', { ambiguous: true })]) {
      const its = delivery(outcome);
      expect(endOf(its, aborted.signal)).toBe(its);
    }
  });

  it('ends as it does otherwise if nothing ordered it to', () => {
    const failed = delivery(failure('transient'));
    expect(endOf(failed, going.signal)).toBe(failed);
  });
});

describe('a queue', () => {
  it.each<[Outcome, boolean]>([
    [failure('operator'), true],
    [failure('transient', { holdsQueue: true }), true],
    [failure('transient'), false],
    [failure('permanent'), false],
    [delivered, false],
    [released.outcome, false],
  ])('may be closed by the end %j: %s', (outcome, may) => {
    expect(concernsQueue(message, outcome)).toBe(may);
    if (outcome.type === 'failure') expect(closes(outcome.failure)).toBe(may);
  });

  it.each([delivered, failure('permanent'), released.outcome])(
    'may be reopened by any end of its probe: %j',
    (outcome) => {
      expect(concernsQueue({ ...message, probe: true }, outcome)).toBe(true);
    },
  );
});

describe('the places that got messages', () => {
  const base = { id: 'm', claimToken: 't' };
  const then = [
    { queue: 'jobs', priority: 3 },
    { queue: 'events', group: 'a' },
  ] as never;
  const recorded = new Set(['email:0']);

  it.each<[string, Settlement, ReadonlySet<string> | undefined, string[]]>([
    [
      'those of an event and of a handler',
      { ...base, to: 'delivered', then },
      recorded,
      ['jobs:3', 'events:0+', 'email:0'],
    ],
    ['those of an event alone', { ...base, to: 'delivered', then }, undefined, ['jobs:3', 'events:0+']],
    ['those of a handler alone', { ...base, to: 'delivered', then: [] }, recorded, ['email:0']],
    ['none', { ...base, to: 'delivered', then: [] }, new Set(), []],
    ['none of a message that records none', { ...base, to: 'delivered', then: [] }, undefined, []],
    ['A: none of a handler whose work was rolled back', { ...base, to: 'released', error: null, delay: 0 }, recorded, []], // prettier-ignore
  ])('are %s', (_, settlement, its, places) => {
    expect(placesOf(settlement, delivery(delivered, { recorded: its }))).toEqual(places);
  });
});

describe('a lost conflict with another transaction', () => {
  const conflicts = { delayOf: (id: string) => (id === 'm' ? 80 : undefined) };

  it('releases the message for a while, and keeps the reason', () => {
    const lost = delivery(failure('transient'), { thrown: conflict });
    expect(outcomeOf(message, lost, conflicts)).toEqual({ type: 'released', reason: 'why', delay: 80 });
  });

  it.each<[string, string, Delivery, typeof conflicts | undefined]>([
    ['it is lost too often', 'other', delivery(failure('transient'), { thrown: conflict }), conflicts],
    ['nobody counts conflicts', 'm', delivery(failure('transient'), { thrown: conflict }), undefined],
    [
      'the message may run only once',
      'm',
      delivery(failure('transient'), { thrown: conflict, once: true }),
      conflicts,
    ],
    ['no retry can help', 'm', delivery(failure('permanent'), { thrown: conflict }), conflicts],
    [
      'the error is another one',
      'm',
      delivery(failure('transient'), { thrown: new Error('40001') }),
      conflicts,
    ],
    ['it was delivered all the same', 'm', delivery(delivered, { thrown: conflict }), conflicts],
  ])('leaves the end as it was where %s', (_, id, its, counted) => {
    expect(outcomeOf({ ...message, id }, its, counted)).toBe(its.outcome);
  });
});

const base = { id: 'm', claimToken: 't' };
const done: Settlement = { ...base, to: 'delivered', then: [] };
const settledAs = (status: Status): Settled => ({ id: 'm', status, seconds: 4 });

type Fails = { readonly settle?: Error; readonly commit?: Error; readonly rollback?: Error };

/** Records an end, and notes the steps in their order. `holds`: the claim token is still valid. */
async function recording(
  settlement: Settlement,
  more: Partial<Delivery> & { begun?: boolean | undefined },
  { holds = true, fails = {}, delay }: { holds?: boolean; fails?: Fails; delay?: number } = {},
) {
  const steps: unknown[] = [];
  const step = async (name: 'settle' | 'commit' | 'rollback'): Promise<void> => {
    steps.push(name);
    const error = fails[name];
    if (error) throw error;
  };
  const tx = {};
  const work = {
    tx,
    begun: () => more.begun === true,
    commit: () => step('commit'),
    rollback: () => step('rollback'),
  } as unknown as LazyTransaction;
  const outbox = {
    settle: async (all: readonly Settlement[]) => {
      await step('settle');
      expect(all).toEqual([settlement]);
      return holds ? [settledAs('delivered')] : [];
    },
  } as unknown as OutboxPort;
  const { begun, ...rest } = more;
  const ended = await recordEnd(
    settlement,
    delivery(delivered, { ...rest, ...(begun === undefined ? {} : { work }) }),
    {
      settler: {
        settle: async (end: Settlement) => (steps.push(end), settledAs('failed')),
      } as never,
      outboxOn: (given) => (expect(given).toBe(tx), outbox),
      ...(delay === undefined ? {} : { conflicts: { delayOf: (id) => (id === 'm' ? delay : undefined) } }),
    },
  );
  return { ended, steps };
}

describe('the end of an attempt', () => {
  it('is recorded in a batch where the handler wrote nothing', async () => {
    for (const begun of [undefined, false])
      expect(await recording(done, { begun })).toEqual({ ended: settledAs('failed'), steps: [done] });
  });

  it("A: commits with the handler's writes", async () => {
    const { ended, steps } = await recording(done, { begun: true });
    expect([ended, steps]).toEqual([settledAs('delivered'), ['settle', 'commit']]);
  });

  it("C: rolls the handler's writes back where the claim was lost", async () => {
    const { ended, steps } = await recording(done, { begun: true }, { holds: false });
    expect([ended, steps]).toEqual([undefined, ['settle', 'rollback']]);
  });

  it('A: rolls the writes of a handler back that did not deliver, and is recorded apart from them', async () => {
    const retry: Settlement = { ...base, to: 'failed', error: 'why', delay: 5, ambiguous: false };
    for (const fails of [{}, { rollback: new Error('connection lost') }])
      expect(await recording(retry, { begun: true }, { fails })).toEqual({
        ended: settledAs('failed'),
        steps: ['rollback', retry],
      });
  });

  const lost = new Error('connection lost');
  const text = `the handler's transaction did not commit: connection lost`;
  it.each<[string, Fails, string[]]>([
    ['the settlement fails', { settle: lost }, ['settle', 'rollback']],
    ['the commit fails', { commit: lost }, ['settle', 'commit', 'rollback']],
    ['the rollback fails too', { commit: lost, rollback: new Error('x') }, ['settle', 'commit', 'rollback']],
  ])('B: is a retry that may be a duplicate, within a second, where %s', async (_, fails, steps) => {
    expect((await recording(done, { begun: true }, { fails, delay: 80 })).steps).toEqual([
      ...steps,
      { ...base, to: 'failed', error: text, delay: 1_000, ambiguous: true },
    ]);
  });

  it('is final where the transaction of a message that may run only once did not commit', async () => {
    for (const error of [lost, conflict]) {
      const { steps } = await recording(
        done,
        { begun: true, once: true },
        { fails: { commit: error }, delay: 80 },
      );
      expect(steps.at(-1)).toMatchObject({ to: 'dead', ambiguous: true });
      expect(steps.at(-1)).not.toHaveProperty('delay');
    }
  });

  it('releases a message whose commit lost a conflict, until it has lost too many', async () => {
    const fails = { commit: conflict };
    const error = `the handler's transaction did not commit: could not serialize access (40001)`;
    const { steps } = await recording(done, { begun: true }, { fails, delay: 80 });
    expect(steps.at(-1)).toEqual({ ...base, to: 'released', error, delay: 80 });
    expect((await recording(done, { begun: true }, { fails })).steps.at(-1)).toMatchObject({
      to: 'failed',
      error,
      delay: 1_000,
    });
  });
});

describe('the report of an end', () => {
  /** The events of one end. */
  function reported(ended: Partial<Ended> & Pick<Ended, 'settlement'>): unknown[] {
    const events: unknown[] = [];
    report({ message, settled: settledAs('delivered'), ms: 1_500, begun: true, ...ended }, {
      attempted: (end) => void events.push(end),
      rejected: (claim) => void events.push(claim),
    } satisfies AttemptEvents);
    return events;
  }
  const plain = {
    message,
    seconds: 1.5,
    endToEndSeconds: null,
    releasedFor: undefined,
    error: null,
    stack: undefined,
    cause: null,
    nextAttemptInMs: null,
  };
  const failed: Settlement = {
    ...base,
    to: 'failed',
    error: 'why',
    stack: 'Error: why',
    delay: 5,
    ambiguous: false,
  };
  const dead: Settlement = { ...base, to: 'dead', error: 'why', ambiguous: false };

  it.each<[string, Partial<Ended> & Pick<Ended, 'settlement'>, object]>([
    ['delivered', { settlement: done }, { outcome: 'delivered', endToEndSeconds: 4 }],
    [
      'retried',
      { settlement: failed, settled: settledAs('failed') },
      { outcome: 'retried', error: 'why', stack: 'Error: why', nextAttemptInMs: 5 },
    ],
    [
      'E: dead where no attempt was left, as the row says',
      { settlement: failed, settled: settledAs('dead') },
      { outcome: 'dead', error: 'why', stack: 'Error: why', cause: 'exhausted' },
    ],
    [
      'dead',
      { settlement: dead, settled: settledAs('dead') },
      { outcome: 'dead', error: 'why', cause: 'permanent' },
    ],
    [
      'dead, with its cause',
      { settlement: { ...dead, cause: 'recipient' }, settled: settledAs('dead') },
      { outcome: 'dead', error: 'why', cause: 'recipient' },
    ],
    [
      'released',
      {
        settlement: { ...base, to: 'released', error: null, delay: 0 },
        settled: settledAs('pending'),
        cause: 'shutdown',
      },
      { outcome: 'released', releasedFor: 'shutdown', nextAttemptInMs: 0 },
    ],
  ])('%s', (_, ended, event) => {
    expect(reported(ended)).toEqual([{ ...plain, ...event }]);
  });

  it.each([
    [true, 'after'],
    [false, 'before'],
  ])('C: says of a claim that was lost whether its delivery had begun: %s', (begun, when) => {
    expect(reported({ settlement: failed, settled: undefined, begun })).toEqual([
      { id: 'm', queue: 'jobs', when, reason: 'the claim was not ours any more when it was to be failed' },
    ]);
  });
});
