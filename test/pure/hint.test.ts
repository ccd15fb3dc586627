// The payload of a NOTIFY, as it is written and as it is read, and the places that the end of an attempt puts into it. All of it is pure.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultBackoff } from '../../src/message/backoff.ts';
import { fromPlace, payloadOf, placeOf, placesIn } from '../../src/outbox/notify.ts';
import { placesOf } from '../../src/worker/end.ts';

const name = fc.stringMatching(/^[A-Za-z0-9._-]{1,100}$/);
const priority = fc.integer({ min: -1_000, max: 1_000 });

describe('the payload of a NOTIFY', () => {
  const place = fc.oneof(name, fc.record({ queue: name, priority }).map(placeOf));

  it('names each queue and priority in which something was recorded, or means any queue', () => {
    fc.assert(
      fc.property(fc.uniqueArray(place), (places) => {
        const read = placesIn(payloadOf(places));
        if (read !== undefined) expect(read).toEqual(places);
      }),
    );
    expect(placesIn(payloadOf(['jobs:0', 'email', 'jobs:-5']))).toEqual(['jobs:0', 'email', 'jobs:-5']);
  });

  it('gives the queue and the priority of a message back', () => {
    fc.assert(
      fc.property(name, priority, (queue, level) => {
        expect(fromPlace(placeOf({ queue, priority: level }))).toEqual({
          queue,
          priority: level,
          isGrouped: false,
        });
        expect(fromPlace(queue)).toEqual({ queue });
      }),
    );
    expect(placeOf({ queue: 'jobs' })).toBe('jobs:0');
  });

  it('means the queue at any priority where it names a priority that none can have', () => {
    for (const text of ['jobs:', 'jobs:high', 'jobs:1e9', 'jobs:10000', 'jobs:0:1', 'jobs:--1'])
      expect(fromPlace(text)).toEqual({ queue: 'jobs' });
  });

  it('means any queue where a name needs an escape, or where all names are longer than Postgres takes', () => {
    expect(payloadOf(["it's"])).toBe('');
    expect(payloadOf(['two words'])).toBe('');
    expect(payloadOf(['jobs:high'])).toBe('');
    expect(payloadOf(Array.from({ length: 100 }, (_, i) => `${'q'.repeat(90)}${i}`))).toBe('');
    expect([placesIn(''), placesIn('  ')]).toEqual([undefined, undefined]);
  });
});

describe('the end of an attempt', () => {
  const end = { id: 'm', claimToken: 't', to: 'delivered' } as const;
  const message = { kind: 'listener', name: 'l', payload: {} } as const;
  const delivery = { outcome: { type: 'delivered', then: [] }, backoff: defaultBackoff } as const;

  it('names the places of the messages that it adds and that its handler recorded, and none when it failed', () => {
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
