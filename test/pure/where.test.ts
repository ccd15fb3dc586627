// What a worker knows of where work may be. Real: src/worker/where.ts. Doubled: time, which the tests name, and in the property of bookmarks a
// database that claims as claimSql does.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createWhere, delayAfter, type Found, type Spot, type Where } from '../../src/worker/where.ts';

const nothing: Found = { messages: 0, isFull: false, isPrefetching: false, lastDue: undefined };
const some: Found = { ...nothing, messages: 2, lastDue: 7 };
const full: Found = { ...some, isFull: true };

const names = (spots: readonly Spot[]): string[] =>
  spots.map(({ queue, priority }) => `${queue}:${priority}`);
const at = (where: Where, now: number): string[] => names(where.ready(now));

/** Claims at the first place that is ready, which takes so many ms, and gives the place as it was when the claim began. */
function claim(where: Where, now: number, found: Found, ms = 0): Spot {
  const spot = where.ready(now)[0]!;
  where.begin(spot, now);
  const asBegun = { ...spot };
  where.end(spot, now + ms, found);
  return asBegun;
}

/** A place that is being claimed at since 0, and that a NOTIFY has named at 1. */
function namedWhileClaimed(): { readonly where: Where; readonly spot: Spot } {
  const where = createWhere(['jobs']);
  where.notified('jobs:0', 0);
  const spot = where.ready(0)[0]!;
  where.begin(spot, 0);
  where.notified('jobs:0', 1);
  return { where, spot };
}

function poll(where: Where, found: number): void {
  where.polling();
  where.polled(found);
}

/** A place whose last claims found nothing, so many in a row. */
function emptied(times: number): Where {
  const where = createWhere(['jobs', 'email']);
  for (let i = 0; i < times; i++) {
    where.found({ queue: 'jobs', priority: 0 });
    claim(where, 0, nothing);
  }
  return where;
}

describe('a place', () => {
  it('is claimed at when a NOTIFY, a wake-up or a poll names it, and not without a reason', () => {
    const where = createWhere(['jobs', 'email']);
    expect(at(where, 0)).toEqual([]);
    where.notified('jobs:3', 0);
    where.found({ queue: 'email', priority: 0 }, true);
    where.found({ queue: 'jobs', priority: -1 });
    expect(at(where, 0)).toEqual(['jobs:3', 'email:0', 'jobs:-1']);
  });

  it('is claimed at once at a time, and again when the claim found all that it wanted', () => {
    const where = createWhere(['jobs']);
    where.notified('jobs:0', 0);
    const [spot] = where.ready(0);
    where.begin(spot!, 0);
    expect(at(where, 0)).toEqual([]);
    where.end(spot!, 1, full);
    expect(at(where, 1)).toEqual(['jobs:0']);
  });

  it('is left when the claim found less, or nothing', () => {
    for (const found of [some, nothing]) {
      const where = createWhere(['jobs']);
      where.notified('jobs:0', 0);
      claim(where, 0, found);
      expect([at(where, 1_000_000), where.nextAt(0)]).toEqual([[], Number.POSITIVE_INFINITY]);
    }
  });

  it('whose groups no claim has reached is claimed at again, until claims have passed the last group twice', () => {
    const where = createWhere(['jobs']);
    where.found({ queue: 'jobs', priority: 0, isGrouped: true });
    const unreached = (after: string, isLap = false): Found => ({ ...nothing, after, isLap });
    claim(where, 0, unreached('m'), 3);
    expect([at(where, 62), where.nextAt(3)]).toEqual([[], 63]); // a twentieth of the time
    expect(claim(where, 63, unreached('b', true)).after).toBe('m');
    expect(claim(where, 63, unreached('m')).after).toBe('b');
    expect(claim(where, 63, unreached('c', true)).after).toBe('m');
    expect([at(where, 1_000_000), where.nextAt(63)]).toEqual([[], Number.POSITIVE_INFINITY]);
    where.found({ queue: 'jobs', priority: 0, isGrouped: true }); // by a poll
    expect(claim(where, 63, unreached('d', true)).after).toBe('c');
    expect(claim(where, 63, { ...some, after: 'e' }).after).toBe('d');
    expect(at(where, 1_000_000)).toEqual([]);
  });

  it('B: that a NOTIFY names during a claim is claimed at after it, whatever the claim found', () => {
    for (const found of [nothing, some, full]) {
      const { where, spot } = namedWhileClaimed();
      expect([at(where, 1), where.nextAt(1)]).toEqual([[], Number.POSITIVE_INFINITY]);
      where.end(spot, 2, found);
      expect(at(where, 2)).toEqual(['jobs:0']);
    }
  });

  it('whose claim failed is left alone until the time that was given, and then claimed at from the first', () => {
    const where = createWhere(['jobs']);
    where.notified('jobs:0', 0);
    claim(where, 0, full);
    const [spot] = where.ready(1);
    where.begin(spot!, 1);
    expect(spot!.bookmark).toBe(7);
    where.failed(spot!, 51);
    where.notified('jobs:0', 2);
    expect([at(where, 50), at(where, 51), where.nextAt(2)]).toEqual([[], ['jobs:0'], 51]);
    expect(claim(where, 51, nothing).bookmark).toBeUndefined();
  });

  it('B: whose claim failed is claimed at again without a NOTIFY', () => {
    const where = createWhere(['jobs']);
    where.notified('jobs:0', 0);
    const [spot] = where.ready(0);
    where.begin(spot!, 0);
    where.failed(spot!, 50);
    expect([at(where, 49), at(where, 50), where.nextAt(1)]).toEqual([[], ['jobs:0'], 50]);
  });

  it('that comes first has the highest priority, then the one that was claimed at least recently', () => {
    const where = createWhere(['a', 'b', 'c']);
    where.notified('a:0 b:0 c:5', 0);
    const [c, a, b] = where.ready(1);
    expect(names([c!, a!, b!])).toEqual(['c:5', 'a:0', 'b:0']);
    for (const [i, spot] of [b!, a!, c!].entries()) {
      where.begin(spot, 1 + i);
      where.end(spot, 4, full);
    }
    expect(at(where, 5)).toEqual(['c:5', 'b:0', 'a:0']);
  });

  it("comes before those of queues with a lower priority of their own, which is added to the messages'", () => {
    const where = createWhere(['a', 'b'], new Map([['b', 5]]));
    where.notified('a:0 b:0 a:4 a:6', 0);
    expect(at(where, 0)).toEqual(['a:6', 'b:0', 'a:4', 'a:0']);
  });

  it('is known from a wake-up alone until a NOTIFY or a poll names it too', () => {
    const where = createWhere(['jobs']);
    where.found({ queue: 'jobs', priority: 0 }, true);
    expect(where.ready(0)[0]!.isAnnounced).toBe(true);
    where.notified('jobs:0', 0);
    expect(claim(where, 0, nothing).isAnnounced).toBe(false);
    where.found({ queue: 'jobs', priority: 0 });
    where.found({ queue: 'jobs', priority: 0 }, true);
    expect(where.ready(0)[0]!.isAnnounced).toBe(false);
  });
});

describe('a queue', () => {
  it('is idle while nothing is known of it at any priority', () => {
    const where = createWhere(['jobs', 'email']);
    expect(where.isIdle('jobs')).toBe(true);
    where.found({ queue: 'jobs', priority: 4 });
    expect([where.isIdle('jobs'), where.isIdle('email')]).toEqual([false, true]);
    const [spot] = where.ready(0);
    where.begin(spot!, 0);
    expect(where.isIdle('jobs')).toBe(false);
    where.end(spot!, 1, some);
    expect(where.isIdle('jobs')).toBe(true);
  });

  it('L: that rests is offered at no priority before its time, and other queues are', () => {
    const where = createWhere(['jobs', 'email']);
    where.notified('jobs:0 jobs:9 email:0', 0);
    where.rest('jobs', 80);
    expect(at(where, 79)).toEqual(['email:0']);
    claim(where, 79, nothing);
    expect(where.nextAt(79)).toBe(80);
    expect(at(where, 80)).toEqual(['jobs:9', 'jobs:0']);
  });

  it('that rests wakes nobody while nothing is known of it, or while it is claimed from', () => {
    const { where, spot } = namedWhileClaimed();
    where.rest('jobs', 80);
    expect(where.nextAt(1)).toBe(Number.POSITIVE_INFINITY);
    where.end(spot, 2, nothing);
    expect(where.nextAt(2)).toBe(80);
    claim(where, 80, nothing);
    where.rest('jobs', 90);
    expect(where.nextAt(81)).toBe(Number.POSITIVE_INFINITY);
  });

  it('of another worker is never offered, whoever names it', () => {
    const where = createWhere(['jobs']);
    where.notified('email:0 jobs2:0 email', 0);
    where.found({ queue: 'email', priority: 0 }, true);
    expect([at(where, 1_000), where.isPollWanted(1_000)]).toEqual([[], false]);
  });
});

describe('a place whose limits may have left no room', () => {
  const crowded: Found = { ...nothing, againMs: 25 };
  const claimed = (found: Found = crowded): Where => {
    const where = createWhere(['jobs', 'email']);
    where.notified('jobs:0 email:0', 0);
    claim(where, 0, found);
    claim(where, 0, crowded);
    return where;
  };

  it('L: is claimed at again after the time that was given', () => {
    for (const found of [crowded, { ...some, againMs: 25 }]) {
      const where = claimed(found);
      expect([at(where, 24), at(where, 25), where.nextAt(0)]).toEqual([[], ['jobs:0', 'email:0'], 25]);
    }
  });

  it('B: is claimed at before that time when a NOTIFY names it', () => {
    const where = claimed();
    where.notified('jobs:0', 5);
    expect([at(where, 4), at(where, 5)]).toEqual([[], ['jobs:0']]);
  });

  it('B: that a NOTIFY named during the claim is claimed at when it ends', () => {
    const { where, spot } = namedWhileClaimed();
    where.end(spot, 2, crowded);
    expect(at(where, 2)).toEqual(['jobs:0']);
  });

  it('is claimed at as soon as a message of its queue has ended, if anything is known of it', () => {
    const where = claimed();
    where.freed('jobs', 7);
    expect([at(where, 6), at(where, 7)]).toEqual([[], ['jobs:0']]);
    claim(where, 7, nothing);
    where.freed('jobs', 8);
    expect(at(where, 8)).toEqual([]);
  });

  it('has no bookmark to go back from', () => {
    const where = createWhere(['jobs']);
    where.notified('jobs:0', 0);
    claim(where, 0, full);
    claim(where, 1, crowded);
    expect([at(where, 25), at(where, 26)]).toEqual([[], ['jobs:0']]);
  });

  it('is claimed at again without delaying a NOTIFY; claims that a NOTIFY led to in vain do delay it', () => {
    const where = claimed();
    for (let i = 0; i < 20; i++) {
      claim(where, 25 * (i + 1), crowded);
      where.freed('jobs', 25 * (i + 1));
      claim(where, 25 * (i + 1), crowded);
    }
    claim(where, 525, { ...nothing, againMs: 100_000 });
    expect(at(where, 600)).toEqual(['email:0']);
    where.notified('jobs:0', 600);
    expect(at(where, 600)).toContain('jobs:0');
    const busy = createWhere(['jobs']);
    for (let i = 0; i < 20; i++) {
      busy.notified('jobs:0', 1_000 * i);
      claim(busy, 1_000 * i + 64, { ...nothing, againMs: 100_000 });
    }
    busy.notified('jobs:0', 20_000);
    expect([at(busy, 20_063), at(busy, 20_064)]).toEqual([[], ['jobs:0']]);
  });
});

describe('after empty claims', () => {
  it('a NOTIFY is answered after 0, 0, 1, 2, 4 … 64 ms', () => {
    const delays = Array.from({ length: 40 }, (_, empty) => delayAfter(empty));
    expect(delays.slice(0, 10)).toEqual([0, 0, 1, 2, 4, 8, 16, 32, 64, 64]);
    expect(Math.max(...delays)).toBe(64);
    for (const [empty, delay] of delays.slice(0, 12).entries()) {
      const where = emptied(empty);
      where.notified('jobs:0', 1_000);
      expect(where.nextAt(1_000)).toBe(delay > 0 ? 1_000 + delay : Number.POSITIVE_INFINITY); // else it is ready
      expect([at(where, 1_000 + delay - 1), at(where, 1_000 + delay)]).toEqual([[], ['jobs:0']]);
    }
  });

  it('the first NOTIFY counts, not the last', () => {
    const where = emptied(5);
    for (let now = 0; now <= 8; now++) where.notified('jobs:0', now);
    expect([at(where, 7), at(where, 8)]).toEqual([[], ['jobs:0']]);
  });

  it('a full claim, a wake-up and a poll hasten a NOTIFY that is delayed', () => {
    const where = emptied(9);
    where.found({ queue: 'jobs', priority: 0 });
    const [spot] = where.ready(0);
    where.begin(spot!, 0);
    where.notified('jobs:0', 1);
    where.end(spot!, 2, full);
    expect(at(where, 2)).toEqual(['jobs:0']);
    const other = emptied(9);
    other.notified('jobs:0', 1);
    expect(at(other, 1)).toEqual([]);
    other.found({ queue: 'jobs', priority: 0 }, true);
    expect(at(other, 1)).toEqual(['jobs:0']);
  });

  it('other places are claimed at without delay', () => {
    const where = emptied(20);
    where.notified('jobs:1 email:0', 0);
    expect(at(where, 0)).toEqual(['jobs:1', 'email:0']);
  });

  it('a wake-up, a poll and a full claim are answered at once, and a claim that found something ends the delays', () => {
    const where = emptied(20);
    where.found({ queue: 'jobs', priority: 0 });
    expect(at(where, 0)).toEqual(['jobs:0']);
    claim(where, 0, some);
    where.notified('jobs:0', 5);
    expect(at(where, 5)).toEqual(['jobs:0']);
  });

  it('a claim that found nothing from its bookmark on, or for want of permits, counts as none', () => {
    const where = createWhere(['jobs']);
    where.notified('jobs:0', 0);
    claim(where, 0, full);
    for (let i = 0; i < 5; i++) claim(where, 1, { ...nothing, isFull: true });
    expect(claim(where, 1, nothing).bookmark).toBe(7);
    claim(where, 1, nothing);
    where.notified('jobs:0', 2);
    expect(at(where, 2)).toEqual(['jobs:0']);
  });
});

describe('the payload of a NOTIFY', () => {
  it('without a place, or with a queue alone, asks for a poll', () => {
    for (const payload of ['', '   ', 'jobs', 'jobs:high', 'jobs:99999', 'email jobs']) {
      const where = createWhere(['jobs']);
      where.notified(payload, 0);
      expect([at(where, 0), where.isPollWanted(0), where.nextAt(0)]).toEqual([[], true, 0]);
      poll(where, 0);
      expect(where.isPollWanted(1_000)).toBe(false);
    }
  });

  it('of a queue without a name, at a priority, says nothing', () => {
    const where = createWhere(['jobs']);
    where.notified(':3', 0);
    expect([at(where, 0), where.isPollWanted(0)]).toEqual([[], false]);
  });

  it('asks for a poll later and later while polls find nothing, and at once after one that found something', () => {
    const where = createWhere(['jobs']);
    for (const delay of [0, 0, 1, 2, 4, 8, 16, 32, 64, 64]) {
      where.notified('', 100);
      where.notified('', 110);
      expect([where.isPollWanted(100 + delay - 1), where.isPollWanted(100 + delay)]).toEqual([false, true]);
      expect(where.nextAt(100)).toBe(100 + delay);
      poll(where, 0);
    }
    poll(where, 1);
    where.notified('', 200);
    expect(where.isPollWanted(200)).toBe(true);
  });

  it('asks again for a poll that failed', () => {
    const where = createWhere(['jobs']);
    where.notified('', 0);
    where.polling();
    expect(where.isPollWanted(1_000)).toBe(false);
    where.polled(undefined);
    expect([where.isPollWanted(0), where.nextAt(5)]).toEqual([true, 5]);
  });

  it('is harmless whatever it says, and names no queue of another worker', () => {
    const any = fc.string();
    const word = fc.oneof(any, fc.constantFrom('jobs', 'jobs:0', ':', 'jobs:-0', 'email:1', '__proto__:1'));
    fc.assert(
      fc.property(fc.array(word), (words) => {
        const where = createWhere(['jobs']);
        where.notified(words.join(' '), 0);
        for (const spot of where.ready(0)) {
          expect(spot.queue).toBe('jobs');
          expect(Math.abs(spot.priority)).toBeLessThan(10_000);
        }
      }),
    );
  });

  it('may have 8,000 characters', () => {
    const where = createWhere(['jobs']);
    where.notified('x'.repeat(8_000), 0);
    where.notified(':'.repeat(8_000), 0);
    expect([at(where, 0), where.isPollWanted(0)]).toEqual([[], true]);
    const places = Array.from({ length: 1_000 }, (_, i) => `jobs:${i}`).join(' ');
    where.notified(places.slice(0, 7_999), 0);
    expect(at(where, 0).length).toBeGreaterThan(900);
  });
});

describe('places in memory', () => {
  /** Names so many places of their own and claims at each of them in vain. */
  function visit(where: Where, count: number): void {
    for (let i = 0; i < count; i++) {
      where.found({ queue: 'email', priority: i });
      claim(where, 0, nothing);
    }
  }
  const isRemembered = (where: Where): boolean => {
    where.notified('jobs:0', 0);
    return !at(where, 0).includes('jobs:0'); // it is delayed
  };

  it('are at most 1,000 without work', () => {
    const [few, many] = [emptied(10), emptied(10)];
    visit(few, 999);
    visit(many, 1_000);
    expect([isRemembered(few), isRemembered(many)]).toEqual([true, false]);
  });

  it('B: are kept while something waits there, or is claimed', () => {
    const where = createWhere(['jobs', 'email']);
    where.notified('jobs:-1', 0);
    const [claimed] = where.ready(0);
    where.begin(claimed!, 0);
    where.notified('jobs:-2', 0);
    visit(where, 2_000);
    where.notified('jobs:-1', 0);
    expect(at(where, 0)).toEqual(['jobs:-2']); // no second claim beside the first
    where.end(claimed!, 1, nothing);
    expect(at(where, 1)).toEqual(['jobs:-1', 'jobs:-2']);
  });
});

describe('the turns of groups', () => {
  it('go on behind the last group that a claim named, also after one that the limits left no place for', () => {
    const where = createWhere(['jobs']);
    where.notified('jobs:0+', 0);
    expect(claim(where, 0, { ...full, after: 'k' }).after).toBeUndefined();
    expect(claim(where, 1, { ...nothing, isFull: true }).after).toBe('k');
    expect(claim(where, 2, { ...full, after: 'm' }).after).toBe('k');
    expect(claim(where, 3, full).after).toBe('m');
  });

  it('take the messages without a group along: these are not claimed beside them', () => {
    const where = createWhere(['jobs']);
    where.notified('jobs:0 jobs:1 jobs:0+', 0);
    const shown = (now: number): unknown[] =>
      where.ready(now).map(({ priority, isGrouped }) => [priority, isGrouped]);
    expect(shown(0)).toEqual([[1, false], [0, true]]); // prettier-ignore
    const [, groups] = where.ready(0);
    where.begin(groups!, 0);
    expect(shown(1)).toEqual([[1, false]]);
    where.end(groups!, 2, some);
    expect(shown(2)).toEqual([[1, false], [0, false]]); // prettier-ignore
  });

  it('have no bookmark: a message of each group may be anywhere', () => {
    const where = createWhere(['jobs']);
    where.notified('jobs:0+', 0);
    claim(where, 0, full);
    expect(claim(where, 1, full).bookmark).toBeUndefined();
  });
});

describe('bookmarks', () => {
  const begun = (): Where => {
    const where = createWhere(['jobs']);
    where.notified('jobs:0', 0);
    return where;
  };

  it('I: a claim begins where the last one ended, and at the first again after 250 ms', () => {
    const where = begun();
    expect(claim(where, 0, { ...full, lastDue: 1 }, 5).bookmark).toBeUndefined();
    expect(claim(where, 5, { ...full, lastDue: 2 }).bookmark).toBe(1);
    expect(claim(where, 254, { ...full, lastDue: 3 }).bookmark).toBe(2);
    expect(claim(where, 255, { ...full, lastDue: 4 }).bookmark).toBeUndefined();
    expect(claim(where, 256, full).bookmark).toBe(4);
  });

  it('I: claims from the first cost a twentieth of the time, and B: no message waits behind a bookmark for more than 5 s', () => {
    for (const [took, until] of [
      [0, 250],
      [12, 250],
      [13, 260],
      [100, 2_000],
      [250, 5_000],
      [60_000, 5_000],
    ] as const) {
      for (const start of [0, 100_000]) {
        const where = begun();
        claim(where, start, full, took);
        expect(claim(where, start + took + until - 1, full).bookmark).toBe(7);
        expect(claim(where, start + took + until, full).bookmark).toBeUndefined();
      }
    }
  });

  it('B: where less than was wanted is found from a bookmark on, the next claim begins at the first, at once', () => {
    for (const less of [some, nothing]) {
      const where = begun();
      claim(where, 0, full);
      expect(claim(where, 1, less).bookmark).toBe(7);
      expect(at(where, 1)).toEqual(['jobs:0']);
      expect(claim(where, 1, less).bookmark).toBeUndefined();
      expect(at(where, 1)).toEqual([]);
    }
  });

  it('each place has one of its own, and permits that are scarce do not move it', () => {
    const where = createWhere(['jobs']);
    where.notified('jobs:1 jobs:0', 0);
    claim(where, 0, { ...full, lastDue: 3 });
    expect(claim(where, 0, { ...nothing, isFull: true }).bookmark).toBe(3);
    expect(claim(where, 0, nothing).bookmark).toBe(3);
    claim(where, 0, nothing);
    expect(claim(where, 0, nothing)).toMatchObject({ priority: 0, bookmark: undefined });
  });
});

describe('a claim that prefetches nothing', () => {
  it('follows one that was to prefetch and found less than it wanted: the rest may be on its last attempt', () => {
    const where = createWhere(['jobs']);
    where.notified('jobs:0', 0);
    claim(where, 0, { ...some, isPrefetching: true });
    expect(where.ready(0)).toMatchObject([{ queue: 'jobs', isExact: true }]);
    claim(where, 0, some);
    expect(at(where, 0)).toEqual([]);
    where.notified('jobs:0', 1);
    expect(where.ready(1)).toMatchObject([{ isExact: false }]);
  });

  it('does not follow where a wake-up or a poll names the place too: there is other work', () => {
    const where = createWhere(['jobs']);
    where.notified('jobs:0', 0);
    claim(where, 0, { ...some, isPrefetching: true });
    where.found({ queue: 'jobs', priority: 0 });
    expect(where.ready(0)).toMatchObject([{ isExact: false }]);
  });

  it('does not follow one that found all, nor one that prefetched nothing', () => {
    for (const found of [{ ...full, isPrefetching: true }, full]) {
      const where = createWhere(['jobs']);
      where.notified('jobs:0', 0);
      claim(where, 0, found);
      expect(where.ready(0)).toMatchObject([{ isExact: false }]);
    }
  });
});

type Waiting = { readonly id: number; readonly due: number; readonly since: number };

/** One place of a database, and workers that claim there as claimSql does; each claim takes 2 ms. */
function world(workers: number) {
  let now = 0;
  let made = 0;
  let waiting: Waiting[] = [];
  const its = Array.from({ length: workers }, () => createWhere(['jobs']));
  return {
    waiting: () => waiting,
    now: () => now,
    pass: (ms: number) => void (now += ms),
    /** Becomes visible now; due so many ms ago. */
    commit(ago: number): void {
      waiting.push({ id: made++, due: now - ago, since: now });
      for (const where of its) where.notified('jobs:0', now);
    },
    /** Undefined: this worker knows of nothing. */
    claim(worker: number, limit: number): readonly Waiting[] | undefined {
      const where = its[worker]!;
      const [spot] = where.ready(now);
      if (!spot) return undefined;
      where.begin(spot, now);
      now += 2;
      const taken = waiting
        .filter(({ due }) => due >= (spot.bookmark ?? Number.NEGATIVE_INFINITY))
        .toSorted((a, b) => a.due - b.due)
        .slice(0, limit);
      waiting = waiting.filter((one) => !taken.includes(one));
      const lastDue = taken.at(-1)?.due;
      where.end(spot, now, {
        messages: taken.length,
        isFull: taken.length === limit,
        isPrefetching: false,
        lastDue,
      });
      return taken;
    },
  };
}

describe('whatever happens', () => {
  const step = fc.oneof(
    fc.record({ commit: fc.array(fc.integer({ min: 0, max: 5_000 }), { minLength: 1, maxLength: 12 }) }),
    fc.record({ pass: fc.integer({ min: 0, max: 3_000 }) }),
    fc.record({ limit: fc.integer({ min: 1, max: 6 }), by: fc.integer({ min: 0, max: 1 }) }),
  );

  it('B: no message stays behind a bookmark, and none waits there for more than 5 s while later ones go', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (script) => {
        const it = world(2);
        for (const one of script) {
          if ('commit' in one) for (const ago of one.commit) it.commit(ago);
          else if ('pass' in one) it.pass(one.pass);
          else {
            const began = it.now();
            const taken = it.claim(one.by, one.limit) ?? [];
            const overdue = it.waiting().filter(({ since }) => began - since >= 5_000);
            for (const { due } of overdue)
              expect(Math.max(...taken.map((each) => each.due))).toBeLessThanOrEqual(due);
          }
        }
        it.pass(64);
        for (let claims = it.waiting().length + 3; it.waiting().length > 0 && claims > 0; claims--)
          if (it.claim(0, 3) === undefined) it.claim(1, 3);
        expect(it.waiting()).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });
});

describe('a NOTIFY', () => {
  const place = fc.constantFrom('jobs:0', 'jobs:5', 'email:0');
  const step = fc.oneof(
    fc.record({ notify: place }),
    fc.record({ begin: fc.nat(2) }),
    fc.record({ end: fc.nat(2), found: fc.constantFrom(nothing, nothing, nothing, some, full) }),
    fc.record({ end: fc.nat(2), failed: fc.nat(200) }),
    fc.record({ pass: fc.nat(100) }),
  );

  it('B: is answered by a claim that begins after it, offered within 64 ms, or when the place may be tried again after a failure', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (script) => {
        const where = createWhere(['jobs', 'email']);
        const since = new Map<string, number>(); // not claimed at since
        const notBefore = new Map<string, number>(); // after a failure
        let claiming: Spot[] = [];
        let now = 0;
        for (const one of script) {
          if ('notify' in one) {
            where.notified(one.notify, now);
            if (!since.has(one.notify)) since.set(one.notify, now);
          } else if ('pass' in one) now += one.pass;
          else if ('begin' in one) {
            const spot = where.ready(now)[one.begin];
            if (!spot) continue;
            where.begin(spot, now);
            claiming.push(spot);
            since.delete(names([spot])[0]!);
          } else {
            const spot = claiming[one.end];
            if (!spot) continue;
            claiming = claiming.filter((other) => other !== spot);
            if ('found' in one) where.end(spot, now, one.found);
            else where.failed(spot, now + one.failed);
            if ('failed' in one) notBefore.set(names([spot])[0]!, now + one.failed);
          }
          for (const [name, from] of since) {
            const latest = Math.max(from + 64, notBefore.get(name) ?? 0);
            if (names(claiming).includes(name)) continue;
            expect(names(where.ready(Math.max(now, latest)))).toContain(name);
            if (!at(where, now).includes(name)) expect(where.nextAt(now)).toBeLessThanOrEqual(latest);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
