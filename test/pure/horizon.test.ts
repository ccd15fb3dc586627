// How long messages are tried: the schedule of emails, and what people are told of each definition.

import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineApp } from '../../src/define/app.ts';
import { horizonLine, horizonsOf } from '../../src/define/cron/horizon.ts';
import { defineEvent } from '../../src/define/event.ts';
import { defineJob } from '../../src/define/job.ts';
import { defineListener } from '../../src/define/listener.ts';
import { emailMessage } from '../../src/define/messages.ts';
import { retryDelay } from '../../src/message/backoff.ts';
import { checkMessage } from '../../src/message/message.ts';

const payload = z.object({});
const handler = async (): Promise<void> => undefined;
const minute = 60_000;

/** Reproducible: Park and Miller's generator. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

/** When each attempt of an email begins that is always asked to try again, in milliseconds after the first. */
function attemptsOf(seed: number): number[] {
  const { maxAttempts, backoff } = defineApp({}).email.retry;
  const random = randomFrom(seed);
  const starts = [0];
  for (let attempt = 1; attempt < maxAttempts; attempt++)
    starts.push(starts.at(-1)! + retryDelay(backoff, attempt, random));
  return starts;
}

describe('emails', () => {
  const thousand = Array.from({ length: 1_000 }, (_, i) => attemptsOf(i * 7_919 + 1));

  test('a provider that asks to try again for nine minutes kills none of a thousand, and few attempts are used', () => {
    const used = thousand.map((starts) => starts.filter((at) => at <= 9 * minute).length);
    expect(Math.max(...used)).toBeLessThan(20);
  });

  test('nor does a night of twelve hours; a day or so is the end', () => {
    const ends = thousand.map((starts) => starts.at(-1)! / (60 * minute)).toSorted((a, b) => a - b);
    expect(ends[0]).toBeGreaterThan(12);
    expect(ends[500]).toBeGreaterThan(22);
    expect(ends[500]).toBeLessThan(25);
    expect(ends.at(-1)).toBeLessThan(36);
  });

  test('whoever records one: an application, a message of its own, another limit', () => {
    const email = { from: 'a@b.test', to: 'c@d.test', subject: 's', text: 't' };
    expect(checkMessage(emailMessage(email, { from: null })).maxAttempts).toBe(53);
    const bare = { kind: 'email', name: 'email', queue: 'email', payload: {} } as const;
    expect(checkMessage(bare).maxAttempts).toBe(53);
    expect(checkMessage({ ...bare, kind: 'job' }).maxAttempts).toBe(10);
    expect(defineApp({ email: { retry: { maxAttempts: 3 } } }).email.retry).toEqual({
      maxAttempts: 3,
      backoff: { initial: minute, factor: 2, max: 60 * minute },
    });
  });
});

test('each definition’s horizon, in words', () => {
  const event = defineEvent({ name: 'placed', payload });
  const app = defineApp({
    events: [event],
    listeners: [defineListener({ name: 'tell', event, retry: { maxAttempts: 1 }, handler })],
    jobs: [
      defineJob({ name: 'usual', payload, handler }),
      defineJob({
        name: 'patient',
        payload,
        handler,
        retry: { maxAttempts: 100, backoff: { initial: '1h', factor: 1, max: '1h' } },
      }),
      defineJob({
        name: 'quick',
        payload,
        handler,
        retry: { maxAttempts: 2, backoff: { initial: 10, max: 10 } },
      }),
    ],
  });
  expect(horizonsOf(app).map(horizonLine)).toEqual([
    'emails: gives up after about 24 h, 53 attempts',
    'event placed: gives up after about 4.3 min, 10 attempts',
    'listener tell: gives up after its first attempt',
    'job usual: gives up after about 4.3 min, 10 attempts',
    'job patient: gives up after about 2.1 d, 100 attempts',
    'job quick: gives up after about 1 s, 2 attempts',
  ]);
});
