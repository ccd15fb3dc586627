// Whatever a delivery throws becomes a failure that can be stored.

import { defaultBackoff, maxRetryAfter } from '../../src/message/backoff.ts';
import { settle } from '../../src/message/transitions.ts';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { z } from 'zod';
import { ActionError } from '../../src/define/action-error.ts';
import {
  askedDelay,
  failureOf,
  handoverFailure,
  PermanentError,
  RetryAfter,
} from '../../src/delivery/failure.ts';
import { EmailError } from '../../src/email/error.ts';
import { WaybillError } from '../../src/errors.ts';

const cyclic: Record<string, unknown> = {};
cyclic['self'] = cyclic;

test.each([
  ['an error', new Error('no luck'), { type: 'transient', message: 'no luck' }],
  ['an error without words', new TypeError(''), { type: 'transient', message: 'TypeError' }],
  [
    'several',
    new AggregateError([new Error('one'), new Error('two')]),
    { type: 'transient', message: 'one; two' },
  ],
  ['a text', 'no luck', { type: 'transient', message: 'no luck' }],
  ['nothing', undefined, { type: 'transient', message: 'threw undefined, which is no Error' }],
  ['null', null, { type: 'transient', message: 'threw null, which is no Error' }],
  ['an object', { a: 1 }, { type: 'transient', message: 'threw {"a":1}, which is no Error' }],
  [
    'a cycle',
    cyclic,
    { type: 'transient', message: 'threw an object that cannot be shown, which is no Error' },
  ],
  ['a permanent one', new PermanentError('gone'), { type: 'permanent', message: 'gone' }],
  [
    'an answer for a caller',
    new ActionError(404, 'gone', 'It is gone'),
    { type: 'permanent', message: 'gone: It is gone' },
  ],
  [
    'an answer that may pass',
    new ActionError(503, 'later', 'Ask later'),
    { type: 'transient', message: 'later: Ask later' },
  ],
  [
    'too many of them',
    new ActionError(429, 'slow', 'Slow down'),
    { type: 'transient', message: 'slow: Slow down' },
  ],
  [
    'a wish in words',
    new RetryAfter('30s', 'busy'),
    { type: 'transient', message: 'busy', retryAfter: 30_000 },
  ],
  [
    'a wish in milliseconds',
    new RetryAfter(1500),
    { type: 'transient', message: 'asked to be tried again later', retryAfter: 1500 },
  ],
  [
    'one of ours',
    new WaybillError('to_required', 'to is missing'),
    { type: 'permanent', message: 'to_required: to is missing' },
  ],
  [
    'one of ours that passes by itself',
    new WaybillError('delivery_key_contended', 'try again'),
    { type: 'transient', message: 'delivery_key_contended: try again' },
  ],
  [
    'an action that did not wait for its work',
    new WaybillError('work_not_awaited', 'a query was still open'),
    { type: 'transient', message: 'work_not_awaited: a query was still open' },
  ],
  [
    'an error whose message is no text',
    Object.assign(new Error('x'), { message: { a: 1 } }),
    { type: 'transient', message: 'Error: {"a":1}' },
  ],
  [
    'an error without a message',
    Object.assign(new Error('x'), { message: undefined }),
    { type: 'transient', message: 'Error: undefined' },
  ],
  [
    'an ambiguous one',
    Object.assign(new Error('lost'), { ambiguous: true }),
    { type: 'transient', message: 'lost', ambiguous: true },
  ],
  [
    'one that says that it is not ambiguous',
    Object.assign(new Error('lost'), { ambiguous: false }),
    { type: 'transient', message: 'lost' },
  ],
  [
    'an object that calls itself ambiguous and is no error',
    { ambiguous: true },
    { type: 'transient', message: 'threw {"ambiguous":true}, which is no Error' },
  ],
])('%s', (_, thrown, failure) => {
  const { stack, message, ...rest } = failureOf(thrown);
  const [, words, place] = /^(.*?)( \(at test\/pure\/failure\.test\.ts:\d+:\d+\))?$/.exec(message)!;
  expect({ ...rest, message: words }).toEqual(failure);
  const meant = [PermanentError, RetryAfter, WaybillError, ActionError].some(
    (kind) => thrown instanceof kind,
  );
  expect(place !== undefined).toBe(thrown instanceof Error && !meant); // what was thrown on purpose needs none
  expect(stack !== undefined).toBe(thrown instanceof Error);
});

test.each([
  [
    'a getter that throws',
    () =>
      Object.defineProperty(new Error('x'), 'message', {
        get() {
          throw new Error('no');
        },
      }),
  ],
])('%s does not keep the failure from being recorded', (_, make) => {
  expect(failureOf(make())).toEqual({ type: 'transient', message: 'threw something that cannot be shown' });
});

test('a payload that does not fit is permanent, and the path is told', () => {
  const { error } = z.object({ order: z.object({ id: z.string() }) }).safeParse({ order: { id: 5 } });
  expect(failureOf(error)).toMatchObject({
    type: 'permanent',
    message: expect.stringContaining('order.id: '),
  });
});

test('an email error goes through its table', () => {
  const error = new EmailError('lost', { provider: 'smtp', phase: 'sent', code: 'ECONNECTION' });
  expect(failureOf(error)).toMatchObject({
    type: 'transient',
    ambiguous: true,
    message: expect.stringMatching(/^smtp: /),
  });
  expect(failureOf(error)).not.toHaveProperty('stack');
});

test('a failure has no property without a value', () => {
  expect(failureOf('no luck')).toStrictEqual({ type: 'transient', message: 'no luck' });
});

describe('a statement that a handler may not run', () => {
  const refusal = new WaybillError('transaction_statement', 'commit is not yours');
  /** The error inside so many others, as a query builder wraps it. */
  const wrapped = (cause: Error, times: number): Error =>
    times === 0 ? cause : wrapped(new Error('Failed query: commit', { cause }), times - 1);

  it.each([0, 1, 4])('is named, inside %d errors of a query builder', (times) => {
    expect(failureOf(wrapped(refusal, times))).toMatchObject({
      type: 'permanent',
      message: 'transaction_statement: commit is not yours',
    });
  });

  it('is looked for in five errors, so that errors which contain each other come to an end', () => {
    expect(failureOf(wrapped(refusal, 5)).type).toBe('transient');
    const circle = new Error('round');
    circle.cause = circle;
    expect(failureOf(circle)).toMatchObject({ type: 'transient' });
  });

  it('is the only error of ours that counts more than the error around it', () => {
    const inner = [
      new WaybillError('to_required', 'to is missing'),
      Object.assign(new Error('commit'), { code: 'transaction_statement' }),
    ];
    for (const cause of inner) {
      const failure = failureOf(new Error('no receipt', { cause }));
      expect(failure).toMatchObject({
        type: 'transient',
        message: expect.stringMatching(/^no receipt: /),
      });
    }
  });
});

test('the delay that a handler asks for holds beyond the day at which that of a provider ends', () => {
  expect(askedDelay(new RetryAfter(maxRetryAfter))).toBeUndefined();
  expect(askedDelay(new RetryAfter(maxRetryAfter + 1))).toBe(maxRetryAfter + 1);
  expect(askedDelay(Object.assign(new Error('busy'), { delay: 2 * maxRetryAfter }))).toBeUndefined();
});

test('RetryAfter takes any delay from none to a year', () => {
  const year = 365 * 24 * 60 * 60 * 1_000;
  expect([new RetryAfter(0).delay, new RetryAfter(year).delay, new RetryAfter('365d').delay]).toEqual([
    0,
    year,
    year,
  ]);
  expect(() => new RetryAfter(year + 1)).toThrow(expect.objectContaining({ code: 'invalid_duration' }));
});

test('what RetryAfter refuses is shown, cut to 80 characters', () => {
  const long = 'x'.repeat(90);
  const shown = `not "${'x'.repeat(80)}"`;
  expect(() => new RetryAfter(long)).toThrow(expect.objectContaining({ message: expect.stringMatching(new RegExp(`${shown}$`)) })); // prettier-ignore
  const other = { toString: () => long } as unknown as number;
  expect(() => new RetryAfter(other)).toThrow(/not x{80}$/);
});

test.each(['30', 'soon', '', -1, Number.NaN, Infinity])('RetryAfter(%o) is refused', (delay) => {
  expect(() => new RetryAfter(delay)).toThrow(expect.objectContaining({ code: 'invalid_duration' }));
});

test('the text can be stored and names nobody', () => {
  expect(failureOf(new PermanentError('550 <ann@b.test> \0 \ud800')).message).toBe(
    '550 <a***@b.test> \u2400 \ufffd',
  );
  const long = failureOf(new Error('a@b.test '.repeat(1_000))).message;
  expect(long).not.toMatch(/\ba@/);
  expect(long.length).toBeLessThanOrEqual(4_000);
});

test('anything at all gives a failure', () => {
  fc.assert(
    fc.property(fc.anything({ withNullPrototype: true, withBigInt: true, withDate: true }), (thrown) => {
      const { message } = failureOf(thrown);
      expect(message).not.toBe('');
      expect(message.isWellFormed() && !message.includes('\0')).toBe(true);
    }),
  );
});

test.each([
  [Number.NaN],
  [-1],
  [Infinity],
  [1e300],
  ['soon'],
  ['30'],
  [''],
  [undefined],
  [null],
  [new Date()],
  [{}],
  [[5]],
  [Symbol('x')],
  [5n],
])('RetryAfter(%s) says what it takes', (delay) => {
  expect(() => new RetryAfter(delay as number)).toThrow(/milliseconds or a duration such as '30s'/);
});

describe('K3: too many connections', () => {
  const withCode = (message: string, code?: string): Error =>
    Object.assign(new Error(message), code && { code });
  it.each([
    withCode('sorry, too many clients already', '53300'),
    withCode('remaining connection slots are reserved for roles with the SUPERUSER attribute', '53300'),
    withCode('too many connections for role "app"', '53300'),
    withCode('no more connections allowed (max_client_conn)', '08P01'),
    withCode('timeout exceeded when trying to connect'),
    withCode('Knex: Timeout acquiring a connection. The pool is probably full.'),
    withCode('Timed out fetching a new connection from the connection pool.', 'P2024'),
    new Error('Failed query: select 1', { cause: withCode('sorry, too many clients already', '53300') }),
  ])("are no message's fault: the attempt is released, the queue held: %s", (thrown) => {
    const failure = failureOf(thrown);
    expect(failure).toMatchObject({ type: 'transient', holdsQueue: true, retryAfter: 5_000 });
    const message = { id: 'm', claimToken: 't', attempt: 1, maxAttempts: 1 };
    const end = settle(message, { type: 'failure', failure }, defaultBackoff, () => 0);
    expect(end).toMatchObject({ to: 'released', delay: 5_000 });
  });

  it.each([
    'timeout exceeded when trying to connect',
    { message: 'timeout exceeded when trying to connect' },
    withCode('timeout of the payment service'),
  ])('are not meant by what is no error of a pool: %s', (thrown) => {
    expect(failureOf(thrown)).not.toHaveProperty('holdsQueue');
  });
});

it('a handover whose answer is lost is ambiguous, unless the provider knows its key again', () => {
  const lost = Object.assign(new Error('lost'), { ambiguous: true });
  const { ambiguous, ...rest } = failureOf(lost);
  expect(ambiguous).toBe(true);
  expect(handoverFailure(lost, { idempotent: false })).toEqual({ ...rest, ambiguous });
  expect(handoverFailure(lost, { idempotent: true })).toEqual(rest);
  const certain = new Error('refused');
  for (const idempotent of [true, false])
    expect(handoverFailure(certain, { idempotent })).toEqual(failureOf(certain));
});
