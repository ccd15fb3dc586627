// The leases of a worker. Real: src/worker/lease.ts and the interruption of an attempt. Doubled: the outbox, which keeps what the test says, and
// time.

import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ClaimedMessage } from '../../src/message/message.ts';
import { createMemoryOutbox } from '../../src/store/memory.ts';
import type { Claim } from '../../src/outbox/port.ts';
import { createProgress, runLoop } from '../../src/process/loop.ts';
import { Interruption, createLeases, renewalOf, type Leased } from '../../src/worker/lease.ts';

const leaseMs = 9_000;

class Holder extends Interruption implements Leased {
  readonly message: ClaimedMessage;
  readonly at: number;
  until = 0;
  place = -1;
  constructor(id: string, at = 0) {
    super();
    this.at = at;
    this.message = { id, claimToken: `t${id}` } as ClaimedMessage;
  }
}

function world(extend: (claims: readonly Claim[]) => Promise<string[]> = async () => []) {
  let now = 0;
  const leases = createLeases({ ...createMemoryOutbox(), extend }, leaseMs, { now: () => now });
  return {
    leases,
    pass: (ms: number) => void (now += ms),
    hold(id: string, since = now): Holder {
      const one = new Holder(id, since);
      leases.hold(one, since);
      return one;
    },
  };
}

describe('leases', () => {
  it('C: what is held is renewed and nothing else, and what the database does not keep is lost, in whatever order they end', async () => {
    const step = fc.oneof(fc.constant('hold' as const), fc.nat({ max: 20 }));
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.func(fc.boolean()), async (script, keeps) => {
        let asked: readonly Claim[] = [];
        const { leases, hold } = world(async (claims) => {
          asked = claims;
          return claims.map(({ id }) => id).filter((id) => keeps(id));
        });
        const held = new Map<string, Holder>();
        let made = 0;
        for (const one of script) {
          if (one === 'hold') held.set(`${++made}`, hold(`${made}`));
          const id = typeof one === 'number' ? [...held.keys()][one] : undefined;
          if (id === undefined) continue;
          leases.drop(held.get(id)!);
          leases.drop(held.get(id)!); // again is none
          held.delete(id);
        }
        await leases.renew();
        expect(asked.map(({ id }) => id).toSorted()).toEqual([...held.keys()].toSorted());
        for (const [id, one] of held) expect(one.aborted).toBe(!keeps(id));
        leases.release();
        for (const one of held.values()) expect([one.aborted, leases.isSafe(one)]).toEqual([true, false]);
      }),
    );
  });

  it('C: what ended while its lease was being renewed is not lost', async () => {
    const answer = Promise.withResolvers<string[]>();
    const { leases, hold } = world(() => answer.promise);
    const [ended, other] = [hold('a'), hold('b')];
    const renewing = leases.renew();
    leases.drop(ended);
    answer.resolve([]);
    await renewing;
    expect([ended.aborted, other.aborted]).toEqual([false, true]);
  });

  it('C: are measured from before the claim was sent, and from before a renewal was sent', async () => {
    const sent: number[] = [];
    const it = world(async (claims) => {
      it.pass(100); // the answer is slow
      sent.push(claims.length);
      return claims.map(({ id }) => id);
    });
    it.pass(500);
    const one = it.hold('a', 200);
    it.pass(leaseMs - 301); // since then
    expect(it.leases.isSafe(one)).toBe(true);
    it.pass(1);
    expect(it.leases.isSafe(one)).toBe(false);
    await it.leases.renew();
    expect([sent, one.until]).toEqual([[1], 200 + 2 * leaseMs]);
    expect([one.aborted, it.leases.isSafe(one)]).toEqual([false, true]);
  });

  it('C: that ran out while the database was away are lost, and the error is thrown', async () => {
    const { leases, hold, pass } = world(() => Promise.reject(new Error('no database')));
    const old = hold('a');
    pass(1);
    const young = hold('b');
    pass(leaseMs - 1);
    await expect(leases.renew()).rejects.toThrow('no database');
    expect([old.aborted, young.aborted]).toEqual([true, false]);
    expect((old.reason as Error).name).toBe('LeaseLost');
  });

  it('are renewed every third of their length, without a statement when nothing is held', async () => {
    let statements = 0;
    const { leases, hold } = world(async (claims) => (statements++, claims.map(({ id }) => id)));
    expect([await leases.renew(), statements]).toEqual([leaseMs / 3, 0]);
    hold('a');
    expect([await leases.renew(), statements]).toEqual([leaseMs / 3, 1]);
  });

  it('C: when they are released, listeners are called in their order, functions and objects, but for those that were removed', () => {
    const { leases, hold } = world();
    const one = hold('a');
    const heard: string[] = [];
    const gone = { handleEvent: (): void => void heard.push('gone') };
    one.addEventListener('abort', () => void heard.push('function'));
    one.addEventListener('abort', gone);
    one.addEventListener('abort', { handleEvent: () => void heard.push('object') });
    one.removeEventListener('abort', gone);
    leases.release();
    leases.release();
    expect(heard).toEqual(['function', 'object']);
    expect((one.reason as Error).name).toBe('Released');
  });

  it('C: a claim that a person ended is aborted when the database confirms it, and one still to begin is given up', async () => {
    const { leases, hold, pass } = world(async () => ['kept', 'begins later']);
    const [ended, other] = [hold('ended'), hold('kept')];
    pass(10);
    await leases.ended('ended');
    await leases.ended('kept'); // nobody ended it: anyone may send a NOTIFY
    expect([ended.aborted, (ended.reason as Error).name, other.aborted]).toEqual([true, 'ClaimEnded', false]);
    await leases.ended('begins later');
    expect(hold('begins later', 5).aborted).toBe(true);
    pass(10);
    expect(hold('begins later').aborted).toBe(false); // claimed again
  });

  it('C: of two leases of one message, the earlier is lost: the message was claimed again', async () => {
    const { leases, hold, pass } = world(async () => ['m']);
    const early = hold('m');
    pass(10);
    const late = hold('m');
    await leases.renew();
    expect([early.aborted, late.aborted]).toEqual([true, false]);
  });

  it.each([[[10, 0]], [[0, 10, 20]], [[20, 0, 10]]])(
    'C: that is so in whatever order the claims were answered: %j',
    async (claimedAt) => {
      const { leases, hold } = world(async () => ['m']);
      const all = claimedAt.map((at) => hold('m', at));
      await leases.renew();
      const kept = all.filter(({ aborted }) => !aborted).map(({ at }) => at);
      expect(kept).toEqual([Math.max(...claimedAt)]);
    },
  );

  it('C: the end of a claim asks the database for that message alone, and for none that is not held', async () => {
    const asked: string[][] = [];
    const { leases, hold } = world(async (claims) => (asked.push(claims.map(({ id }) => id)), []));
    await leases.ended('elsewhere');
    const [one, other] = [hold('a'), hold('b')];
    await leases.ended('elsewhere');
    expect([asked, one.aborted]).toEqual([[], false]);
    await leases.ended('a');
    expect([asked, one.aborted, other.aborted]).toEqual([[['a']], true, false]);
    await leases.renew(); // what is lost is not renewed
    expect(asked).toEqual([['a'], ['b']]);
  });

  it('C: the end of a claim is remembered for a lease, and counts for claims that were sent before it', async () => {
    const { leases, hold, pass } = world();
    pass(10);
    await leases.ended('a');
    expect(hold('a', 10).aborted).toBe(false);
    pass(leaseMs);
    await leases.ended('another');
    expect(hold('a', 5).aborted).toBe(true);
    pass(1);
    await leases.ended('another');
    expect(hold('a', 5).aborted).toBe(false); // its lease has run out long ago
  });

  it('C: all are released, also when each is dropped at once', () => {
    const { leases, hold } = world();
    const all = ['a', 'b', 'c'].map((id) => hold(id));
    for (const one of all) one.addEventListener('abort', () => leases.drop(one));
    leases.release();
    expect(all.map(({ aborted }) => aborted)).toEqual([true, true, true]);
  });
});

describe('the renewal of leases', () => {
  afterEach(() => void vi.useRealTimers());

  /** @returns when the lease was lost, if it was */
  async function lostBy(leaseMs: number, from: number, to: number): Promise<number | undefined> {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: 0 });
    const clock = { now: () => Date.now() };
    const extend = async (claims: readonly Claim[]): Promise<string[]> => {
      if (clock.now() >= from && clock.now() < to) throw new Error('away');
      return claims.map(({ id }) => id);
    };
    const leases = createLeases({ ...createMemoryOutbox(), extend }, leaseMs, clock);
    const stop = new AbortController();
    const one = new Holder('1');
    let lost: number | undefined;
    one.addEventListener('abort', () => void (lost = clock.now()));
    leases.hold(one, 0);
    const ports = { observe: () => undefined, onError: () => undefined, progress: createProgress(clock) };
    const running = runLoop(renewalOf(leases, leaseMs, 'lease'), { ...ports, signal: stop.signal });
    await vi.advanceTimersByTimeAsync(3 * leaseMs);
    stop.abort();
    await running;
    return lost;
  }

  it('D: comes in time after any outage that leaves a tenth of the lease', async () => {
    for (const leaseMs of [1_000, 15_000, 300_000])
      for (const part of [0.1, 0.2, 0.3])
        for (const length of [0.3, 0.4, 0.5, 0.55, 0.6]) {
          const from = leaseMs * part;
          expect([leaseMs, part, length, await lostBy(leaseMs, from, from + leaseMs * length)]).toEqual([
            leaseMs,
            part,
            length,
            undefined,
          ]);
        }
    expect(await lostBy(15_000, 5_000, 12_800)).toBeUndefined();
    expect(await lostBy(15_000, 1_000, 16_000)).toBeGreaterThanOrEqual(15_000);
  });
});

describe('an interruption', () => {
  it('keeps its first reason, and calls each listener once', () => {
    const one = new Interruption();
    let calls = 0;
    one.addEventListener('abort', () => calls++);
    one.abort('first');
    one.abort('second');
    expect([one.reason, calls]).toEqual(['first', 1]);
  });

  it('forgets the listener that is removed, and no other', () => {
    const heard: string[] = [];
    const [first, second, third, stranger] = ['first', 'second', 'third', 'stranger'].map(
      (name) => (): void => void heard.push(name),
    ) as [() => void, () => void, () => void, () => void];
    const one = new Interruption();
    one.removeEventListener('abort', stranger);
    for (const each of [first, second, third]) one.addEventListener('abort', each);
    one.removeEventListener('abort', stranger);
    one.removeEventListener('abort', first);
    one.removeEventListener('abort', third);
    one.abort('now');
    expect(heard).toEqual(['second']);
  });
});
