import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { fromPlace, hintOf, placeOf, placesIn } from '../../src/outbox/hint.ts';
import { defaultBackoff } from '../../src/outbox/backoff.ts';
import { placesOf } from '../../src/worker/end.ts';
import { createHints, delayAfter, type Hints } from '../../src/worker/hints.ts';

type Asked = { readonly places: readonly string[]; readonly give: (count: number | undefined) => void };

function world(queues: readonly string[]) {
  const asked: Asked[] = [];
  const pauses: { readonly ms: number; readonly end: () => void }[] = [];
  const errors: unknown[] = [];
  const hints: Hints = createHints({
    queues,
    answer: (places) => new Promise((give) => void asked.push({ places, give })),
    pause: (ms) => new Promise((end) => void pauses.push({ ms, end })),
    onError: (error) => void errors.push(error),
  });
  return { hints, asked, pauses, errors };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the text of a nudge', () => {
  const name = fc.stringMatching(/^[A-Za-z0-9._-]{1,100}$/);

  const place = fc.oneof(
    name,
    fc.record({ queue: name, priority: fc.integer({ min: -1_000, max: 1_000 }) }).map(placeOf),
  );

  it('names lanes and queues, or means any: none that was recorded in is missing', () => {
    fc.assert(
      fc.property(fc.uniqueArray(place), (places) => {
        const read = placesIn(hintOf(places));
        if (read !== undefined) expect(read).toEqual(places);
      }),
    );
    expect(placesIn(hintOf(['jobs:0', 'email', 'jobs:-5']))).toEqual(['jobs:0', 'email', 'jobs:-5']);
  });

  it('tells the lane of a message: its queue and its priority', () => {
    fc.assert(
      fc.property(name, fc.integer({ min: -1_000, max: 1_000 }), (queue, priority) => {
        expect(fromPlace(placeOf({ queue, priority }))).toEqual({ queue, priority });
        expect(fromPlace(queue)).toEqual({ queue });
      }),
    );
    expect(placeOf({ queue: 'jobs' })).toBe('jobs:0');
  });

  it('with what no priority can be, sent by hand, names any lane of the queue', () => {
    for (const place of ['jobs:', 'jobs:high', 'jobs:1e9', 'jobs:10000', 'jobs:0:1', 'jobs:--1'])
      expect(fromPlace(place)).toEqual({ queue: 'jobs' });
  });

  it('of queues whose names need an escape, and of more than a notification holds, means any', () => {
    expect(hintOf(["it's"])).toBe('');
    expect(hintOf(['two words'])).toBe('');
    expect(hintOf(['jobs:high'])).toBe('');
    expect(hintOf(Array.from({ length: 100 }, (_, i) => `${'q'.repeat(90)}${i}`))).toBe('');
    expect(placesIn('')).toBeUndefined();
  });
});

describe('the end of an attempt', () => {
  const end = { id: 'm', claimToken: 't', to: 'delivered' } as const;
  const message = { kind: 'listener', name: 'l', payload: {} } as const;
  const delivery = { outcome: { type: 'delivered', then: [] }, backoff: defaultBackoff } as const;

  it('names the lanes of what it leads to and of what its handler recorded, and nothing when it did not succeed', () => {
    const then = [
      { ...message, queue: 'events' },
      { ...message, queue: 'jobs', priority: -5 },
    ];
    const recorded = new Set(['email:7']);
    expect(placesOf({ ...end, then }, { ...delivery, recorded })).toEqual(['events:0', 'jobs:-5', 'email:7']);
    expect(placesOf({ ...end, then: [] }, delivery)).toEqual([]);
    const failed = { ...end, to: 'failed', error: 'e', delay: 0, ambiguous: false } as const;
    expect(placesOf(failed, { ...delivery, recorded })).toEqual([]);
  });
});

describe('hints', () => {
  it('are answered at once for the queues and lanes that they name, and without a name for all queues', async () => {
    const { hints, asked } = world(['jobs', 'events']);
    hints.heard('jobs');
    expect(asked.map((one) => one.places)).toEqual([['jobs']]);
    asked[0]!.give(1);
    await turn();
    hints.heard('');
    expect(asked[1]!.places).toEqual(['jobs', 'events']);
    asked[1]!.give(1);
    await turn();
    hints.heard('jobs:7 email:7');
    expect(asked[2]!.places).toEqual(['jobs:7']);
  });

  it('for other queues are no business of this worker', async () => {
    const { hints, asked } = world(['jobs']);
    hints.heard('email');
    await turn();
    expect(asked).toEqual([]);
  });

  it('that come while one is answered are one', async () => {
    const { hints, asked } = world(['jobs', 'events']);
    for (const hint of ['jobs', 'jobs', 'events', 'jobs']) hints.heard(hint);
    expect(asked).toHaveLength(1);
    asked[0]!.give(1);
    await turn();
    expect(asked.map((one) => one.places)).toEqual([['jobs'], ['jobs', 'events']]);
  });

  it('that bring nothing are answered later and later, until one brings something; each queue for itself', async () => {
    const { hints, asked, pauses } = world(['jobs', 'events']);
    for (const [i, delay] of [0, 0, 1, 2, 4].entries()) {
      hints.heard(`jobs:${i}`); // of whatever lane
      if (delay > 0) {
        expect(pauses.at(-1)!.ms).toBe(delay);
        pauses.at(-1)!.end();
        await turn();
      }
      asked.at(-1)!.give(0);
      await turn();
    }
    expect(asked).toHaveLength(5);
    hints.heard('events');
    expect(asked).toHaveLength(6);
    asked[5]!.give(0);
    await turn();
    hints.heard('jobs');
    pauses.at(-1)!.end();
    await turn();
    asked[6]!.give(3);
    await turn();
    hints.heard('jobs');
    expect(asked).toHaveLength(8);
    expect(pauses).toHaveLength(4);
  });

  it('the delay grows, is bounded, and is none for the first that brings nothing', () => {
    const delays = Array.from({ length: 40 }, (_, vain) => delayAfter(vain));
    expect(delays.slice(0, 5)).toEqual([0, 0, 1, 2, 4]);
    expect(delays.toSorted((a, b) => a - b)).toEqual(delays);
    expect(Math.max(...delays)).toBe(64);
  });

  it('that could not be answered, for want of a slot, count neither way', async () => {
    const { hints, asked, pauses } = world(['jobs']);
    for (let i = 0; i < 5; i++) {
      hints.heard('jobs');
      asked.at(-1)!.give(undefined);
      await turn();
    }
    expect(asked).toHaveLength(5);
    expect(pauses).toEqual([]);
  });

  it('after an error are told of, and answered no sooner than after the longest delay', async () => {
    const errors: unknown[] = [];
    const pauses: number[] = [];
    const hints = createHints({
      queues: ['jobs'],
      answer: () => Promise.reject(new Error('no database')),
      pause: (ms) => new Promise(() => void pauses.push(ms)),
      onError: (error) => void errors.push(error),
    });
    hints.heard('jobs');
    await turn();
    hints.heard('jobs');
    expect(errors).toHaveLength(1);
    expect(pauses).toEqual([64]);
  });

  it('B: closing waits for the answer that is under way, and sends no other', async () => {
    const { hints, asked } = world(['jobs']);
    hints.heard('jobs');
    hints.heard('jobs');
    let closed = false;
    const closing = hints.close().then(() => (closed = true));
    hints.heard('jobs');
    await turn();
    expect(closed).toBe(false);
    asked[0]!.give(1);
    await closing;
    expect(asked).toHaveLength(1);
  });
});
