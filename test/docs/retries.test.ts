// docs/handlers.md: the tables of delays are those of the code's defaults, and the example is tried for as long as it says.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseDuration } from '../../src/duration.ts';
import { emailRetry, retryPolicy, usualRetry, type RetryPolicy } from '../../src/define/retry.ts';
import { horizonOf, retryDelay } from '../../src/message/backoff.ts';

const page = readFileSync(new URL('../../docs/handlers.md', import.meta.url), 'utf8');
const section = page.slice(page.indexOf('\n## When a failed message'), page.indexOf('\n## One connection'));
const rows = [...section.matchAll(/^\|(.*)\|$/gm)].map(([, row]) => row!.split('|').map((c) => c.trim()));

/** A sum of times such as `4 min 16 s`, in milliseconds. */
const inMs = (text: string): number =>
  [...text.matchAll(/([\d.]+) (h|min|s)\b/g)].reduce(
    (sum, [, n, unit]) =>
      sum + Number(n) * { h: 3_600_000, min: 60_000, s: 1_000 }[unit as 'h' | 'min' | 's'],
    0,
  );

describe('the delays on the page', () => {
  it.each([
    ['jobs, listeners, actions', usualRetry, 1_000],
    ['[emails](email.md)', emailRetry, 60_000],
  ] as const)('%s: are the defaults of the code', (name, { maxAttempts, backoff }, precision) => {
    const [, attempts, initial, factor, max, average, most] = rows.find(([first]) => first === name)!;
    expect([Number(attempts), parseDuration(initial!), Number(factor), parseDuration(max!)]).toEqual([
      maxAttempts,
      backoff.initial,
      backoff.factor,
      backoff.max,
    ]);
    const horizon = horizonOf(backoff, maxAttempts);
    expect(Math.abs(inMs(average!) - horizon)).toBeLessThanOrEqual(precision / 2);
    expect(Math.abs(inMs(most!) - 2 * horizon)).toBeLessThanOrEqual(precision / 2);
  });

  it('after each attempt of a job: at most, and on average', () => {
    const shown = rows.filter(([first]) => /^\d+$/.test(first!));
    expect(shown).toHaveLength(usualRetry.maxAttempts - 1);
    for (const [attempt, most, average] of shown) {
      const delay = (random: number): number => retryDelay(usualRetry.backoff, Number(attempt), () => random);
      expect([inMs(most!), inMs(average!)]).toEqual([delay(1), delay(0.5)]);
      expect(delay(0)).toBe(0);
    }
  });

  it('the example is tried for about as long as its comment says', () => {
    const [, maxAttempts, initial, factor, max, hours] =
      /maxAttempts: (\d+), backoff: { initial: '(\w+)', factor: (\d+), max: '(\w+)' } }, \/\/ about (\d+) hours/.exec(
        section,
      )!;
    const backoff = { initial: initial as '10s', factor: Number(factor), max: max as '1h' };
    const policy: RetryPolicy = retryPolicy('example', { maxAttempts: Number(maxAttempts), backoff });
    const horizon = horizonOf(policy.backoff, policy.maxAttempts) / 3_600_000;
    expect(Math.abs(horizon - Number(hours))).toBeLessThan(0.5);
  });
});
