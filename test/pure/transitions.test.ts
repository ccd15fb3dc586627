import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { maxRetryAfter, retryDelay } from '../../src/outbox/backoff.ts';
import type { Outcome } from '../../src/outbox/outcome.ts';
import { settle } from '../../src/outbox/transitions.ts';
import { cleanError } from '../../src/redaction/redact.ts';

const backoff = { initial: 1_000, factor: 2, max: 60_000 };
const message = { id: 'm', claimToken: 't', attempt: 2, maxAttempts: 5 };
const failure = (type: 'transient' | 'permanent' | 'operator', rest: object = {}): Outcome => ({
  type: 'failure',
  failure: { type, message: 'why', ...rest },
});

describe('settle', () => {
  it.each<[string, Outcome, object]>([
    ['delivered', { type: 'delivered', then: [] }, { to: 'delivered', then: [], notes: [] }],
    [
      'delivered with notes',
      { type: 'delivered', then: [], notes: [{ type: 'accepted' }] },
      { to: 'delivered', then: [], notes: [{ type: 'accepted' }] },
    ],
    ['released', { type: 'released', reason: null, delay: 0 }, { to: 'released', error: null, delay: 0 }],
    ['transient', failure('transient'), { to: 'failed', error: 'why', delay: 1_000, ambiguous: false }],
    [
      'ambiguous',
      failure('transient', { ambiguous: true }),
      { to: 'failed', error: 'why', delay: 1_000, ambiguous: true },
    ],
    [
      'Retry-After',
      failure('transient', { retryAfter: 7_000 }),
      { to: 'failed', error: 'why', delay: 8_000, ambiguous: false },
    ],
    ['permanent', failure('permanent'), { to: 'dead', error: 'why', ambiguous: false }],
    [
      'everybody is to wait',
      failure('transient', { holdsQueue: true, retryAfter: 7_000 }),
      { to: 'released', error: 'why', delay: 7_000 },
    ],
    [
      'everybody is to wait, nobody knows how long',
      failure('transient', { holdsQueue: true }),
      { to: 'released', error: 'why', delay: 5_000 },
    ],
    [
      'everybody is to wait for a year',
      failure('transient', { holdsQueue: true, retryAfter: 3e10 }),
      { to: 'released', error: 'why', delay: maxRetryAfter },
    ],
    ['operator', failure('operator'), { to: 'released', error: 'why', delay: 30_000 }],
  ])('%s', (_, outcome, expected) => {
    expect(settle(message, outcome, backoff, () => 0.5)).toEqual({ id: 'm', claimToken: 't', ...expected });
  });

  it('a transient failure of the last attempt is the end', () => {
    const last = { ...message, attempt: 5 };
    expect(settle(last, failure('transient'), backoff, () => 0.5)).toMatchObject({
      to: 'dead',
      error: 'why',
    });
  });
});

describe('retryDelay', () => {
  it('stays between what was asked for and the ceiling above it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        fc.integer(),
        (attempt, r, asked) => {
          const delay = retryDelay(backoff, attempt, () => r, asked);
          const floor = Math.min(Math.max(asked, 0), maxRetryAfter);
          expect(delay).toBeGreaterThanOrEqual(floor);
          expect(delay).toBeLessThanOrEqual(floor + backoff.max);
        },
      ),
    );
  });

  it('the ceiling grows by the factor up to the cap', () => {
    const ceilings = [1, 2, 3, 7, 100].map((attempt) => retryDelay(backoff, attempt, () => 1));
    expect(ceilings).toEqual([1_000, 2_000, 4_000, 60_000, 60_000]);
  });
});

describe('cleanError', () => {
  it('can always be stored: well-formed, without U+0000, at most 4,000 characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 5_000 }), (text) => {
        const clean = cleanError(`\ud800${text}\0`);
        expect(clean.isWellFormed() && !clean.includes('\0') && clean.length <= 4_000).toBe(true);
      }),
    );
  });
});
