// What may be shown of a text or an error: no secret of the environment in any of its forms, nothing that looks like one, no whole address,
// and never a driver's data. Nothing here is doubled but the environment.

import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { z } from 'zod';
import { reasonOf } from '../../src/redaction/reason.ts';
import { cleanError, createRedactor } from '../../src/redaction/redact.ts';
import { stackOf } from '../../src/redaction/stack.ts';
import { visibleJson, visibleLine, visibleText } from '../../src/redaction/visible.ts';
import { variables } from '../../src/config/catalogue.ts';

const env = {
  DATABASE_URL: 'postgres://app:s3cr3t%2Fpw@db.test:5432/shop',
  SMTP_URL: 'smtp://mailer:geheim@mail.test:587',
  RESEND_API_KEY: 'key of resend no 1',
  RESEND_WEBHOOK_SECRET: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  WAYBILL_ADMIN_KEY: 'the-old-admin-key-of-32-characters,the-new-admin-key-of-32-characters',
  WAYBILL_ADMIN_KEYS: 'ann:read:the-reading-key-of-32-characters,bob:admin:the-other-key-of-32-characters',
  WAYBILL_PAYLOAD_KEYS: 'k1:3q2+7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
  STRIPE_TOKEN: 'application-token',
  PGPASSWORD: 'pg-password',
  WEBHOOK: 'https://hooks.test/in?access_token=hook-token',
};
const redactor = createRedactor(env);
const base64 = (text: string): string => Buffer.from(text).toString('base64');

describe('secrets of the environment', () => {
  it.each([
    ['s3cr3t%2Fpw'],
    ['s3cr3t/pw'],
    [encodeURIComponent('s3cr3t/pw')],
    ['geheim'],
    [base64('geheim')],
    [base64('mailer:geheim')],
    [base64('\0mailer\0geheim')],
    ['key of resend no 1'],
    [encodeURIComponent('key of resend no 1')],
    ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
    ['MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
    ['the-old-admin-key-of-32-characters'],
    ['the-new-admin-key-of-32-characters'],
    ['the-reading-key-of-32-characters'],
    ['the-other-key-of-32-characters'],
    ['3q2+7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='],
    ['application-token'],
    ['pg-password'],
    ['hook-token'],
  ])('%s is hidden', (secret) => {
    expect(redactor.text(`it said: ${secret}, and more`)).toBe('it said: ***, and more');
  });

  it('every secret variable of the configuration is known as one', () => {
    for (const { name, secret } of variables) {
      if (secret === undefined) continue;
      const value =
        secret === 'key' ? 'a-value-of-some-length' : 'scheme://user:a-value-of-some-length@host.test';
      expect(createRedactor({ [name]: value }).text('x a-value-of-some-length'), name).toBe('x ***');
    }
  });

  it('a short one is hidden as a word alone, and what everybody knows is none', () => {
    expect(redactor.text('geheimnis')).toBe('geheimnis');
    const local = createRedactor({
      DATABASE_URL: 'postgres://postgres:postgres@localhost/postgres',
      API_KEY: 'k',
    });
    expect(local.text('user "postgres" k')).toBe('user "postgres" k');
  });
});

describe('what looks like a secret', () => {
  it.each([
    ['postgres://u:p/ss@w#d@host/db', 'postgres://***@host/db'],
    ['https://u:p@h.test/x?token=abc&y=1', 'https://***@h.test/x?token=***&y=1'],
    ['Authorization: Bearer abc', 'Authorization: Bearer abc'],
    ['Authorization: Bearer abcd.efgh', 'Authorization: Bearer ***'],
    ['Basic dXNlcjpwYXNz', 'Basic ***'],
    ['sk_live_4eC39HqLyjWD', '***'],
    ['re_123456789', '***'],
    ['0123456789abcdef0123456789abcdef-01234567-89abcdef', '***'],
    ['SG.ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf', '***'],
    ['ghp_16C7e42F292c6912E7710c838347Ae178B4a', '***'],
    ['github_pat_11ABCDE', '***'],
    ['AKIAIOSFODNN7EXAMPLE', '***'],
    ['xoxb-1234-abcd', '***'],
    ['eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.abc', '***'],
    ['-----BEGIN EC PRIVATE KEY-----\nMIIx\n-----END EC PRIVATE KEY-----!', '***!'],
    ['-----BEGIN PRIVATE KEY-----\nMIIx', '***'],
    ['{"password":"hunter2","a":1}', '{"password":"***","a":1}'],
    [String.raw`{\"apiKey\":\"x1\"}`, String.raw`{\"apiKey\":\"***\"}`],
    ["{ pass: 'abc' }", "{ pass: '***' }"],
    ['password=hunter2 host=db', 'password=*** host=db'],
    ['X-Api-Key: abcd1234', 'X-Api-Key: ***'],
    ['Set-Cookie: sid=1; x=2', 'Set-Cookie: ***'],
    ['to ann@b.test', 'to a***@b.test'],
  ])('%j → %j', (text, shown) => expect(redactor.text(text)).toBe(shown));

  it.each([
    'bearer token is missing',
    'Basic authentication is needed',
    'password: Too small: expected string to have >=8 characters',
    'token = null',
    'https://medium.test/@ann/post',
    'http://localhost:3000/a',
    're_established_connection',
    'connect ECONNREFUSED 127.0.0.1:5432',
    'duplicate key value violates unique constraint "users_email_key"',
  ])('prose stays: %s', (text) => expect(redactor.text(text)).toBe(text));

  it('is not found twice: what was redacted stays as it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        const once = cleanError(text);
        expect(cleanError(once)).toBe(once);
      }),
    );
  });

  it.each([
    ' ',
    '\n',
    '"',
    "'",
    'a',
    'a@',
    '(',
    '://',
    'x://',
    'password=',
    'a.',
    '/',
    '\\"',
    '=',
    '&a=',
    'sk-',
    'bearer ',
    'eyJ',
  ])('1 MB of %j takes no more than its share of the time of 100 kB', (piece) => {
    const timed = (length: number): number => {
      const text = piece.repeat(length / piece.length);
      const all = Array.from({ length: 3 }, () => {
        const start = performance.now();
        redactor.text(text);
        return performance.now() - start;
      });
      return Math.min(...all);
    };
    timed(100_000);
    expect(timed(1_000_000)).toBeLessThan(40 * Math.max(timed(100_000), 20));
  });

  it('a text of any length is bounded', () => {
    expect(cleanError('x'.repeat(5_000_000)).length).toBeLessThanOrEqual(4_000);
  });
});

class DrizzleQueryError extends Error {
  override readonly name = 'DrizzleQueryError';
}
const postgres = (message: string, code: string, detail?: string): Error =>
  Object.assign(new Error(message), { code, severity: 'ERROR', detail });
const of = (thrown: unknown): string => reasonOf(thrown, { bare: true });

describe('the reason of an error', () => {
  it.each([
    [
      'a cause',
      new Error('fetch failed', { cause: new Error('connect ECONNREFUSED 127.0.0.1:1') }),
      'fetch failed: connect ECONNREFUSED 127.0.0.1:1',
    ],
    ['causes of causes', new Error('a', { cause: new Error('b', { cause: 'c' }) }), 'a: b: c'],
    ['a cause that is repeated already', new Error('a: b', { cause: new Error('b') }), 'a: b'],
    [
      'several',
      new AggregateError([new Error('one'), new Error('two')], 'all failed'),
      'all failed: one; two',
    ],
    [
      'several without words',
      new Error('x', { cause: new AggregateError([new Error('one'), new Error('one')], '') }),
      'x: one',
    ],
    [
      'a code',
      Object.assign(new Error('other side closed'), { code: 'UND_ERR_SOCKET' }),
      'other side closed (UND_ERR_SOCKET)',
    ],
    [
      'a driver’s parameters',
      new DrizzleQueryError('Failed query: insert into t values ($1)\nparams: ann', {
        cause: postgres(
          'duplicate key value violates unique constraint "u"',
          '23505',
          'Key (email)=(ann) already exists.',
        ),
      }),
      'duplicate key value violates unique constraint "u"; Key (email) already exists (23505)',
    ],
    [
      'a driver’s parameters without a cause',
      new DrizzleQueryError('Failed query: select $1\nparams: ann'),
      'a query failed',
    ],
    [
      'a statement before the message',
      postgres(`insert into "t" values ('an - n') - value too long for type character varying(1)`, '22001'),
      'value too long for type character varying(1) (22001)',
    ],
    [
      'what Prisma was called with, and the value in its reason',
      Object.assign(
        new Error(
          'Invalid `prisma.$queryRawUnsafe(ann)` invocation:\n\n\nRaw query failed. Code: `22P02`. Message: `invalid input syntax for type integer: "ann"`',
        ),
        { name: 'PrismaClientKnownRequestError' },
      ),
      'Raw query failed. Code: `22P02`. Message: `invalid input syntax for type integer: "…"`',
    ],
    [
      'a value that does not fit',
      postgres('invalid input syntax for type integer: "ann"', '22P02'),
      'invalid input syntax for type integer: "…" (22P02)',
    ],
    [
      'a row',
      postgres('null value in column "a"', '23502', 'Failing row contains (1, ann).'),
      'null value in column "a" (23502)',
    ],
    ['a text that is no JSON', caught(() => JSON.parse('ann the secret')), "Unexpected token 'a' in JSON"],
    [
      'issues',
      z.object({ a: z.string() }).safeParse({ a: 5 }).error,
      'not valid: a: Invalid input: expected string, received number',
    ],
    ['a thrown object with a message', { message: 'no' }, 'no (thrown as an object that is no Error)'],
  ])('%s', (_, thrown, text) => expect(of(thrown)).toBe(text));

  it('is told of errors that hold each other, of a hundred causes and of a hundred errors', () => {
    const one = new Error('one');
    one.cause = new Error('two', { cause: one });
    expect(of(one)).toBe('one: two');
    let chain = new Error('0');
    for (let n = 1; n < 100; n++) chain = new Error(String(n), { cause: chain });
    expect(of(chain)).toMatch(/^99: 98: /);
    expect(
      of(
        new AggregateError(
          Array.from({ length: 100 }, (_, n) => new Error(`n${n}`)),
          'x',
        ),
      ),
    ).toBe('x: n0; n1; n2; n3; 96 more');
  });

  it('names the first place that is the application’s, also of a cause', () => {
    const here = /\(at test\/pure\/redaction\.test\.ts:\d+:\d+\)$/;
    expect(reasonOf(new TypeError('x'))).toMatch(here);
    const library = Object.assign(new Error('x'), {
      stack: 'Error: x\n    at f (/srv/node_modules/a/b.js:1:2)',
    });
    expect(reasonOf(library)).toBe('x');
    library.cause = new Error('y');
    expect(reasonOf(library)).toMatch(here);
    const inner = caught(() => z.string().parse(5));
    expect(inner).toBeInstanceOf(Error);
  });
});

test('the stack holds every cause with its frames, without secrets', () => {
  const text = stackOf(new Error('outer', { cause: new TypeError('Bearer abcdefgh') }))!;
  expect(text).toMatch(/^Error: outer\n +at .*redaction\.test\.ts/);
  expect(text).toMatch(/\ncaused by: TypeError: Bearer \*\*\*\n +at .*redaction\.test\.ts/);
  expect(stackOf('a text')).toBeUndefined();
  const long = Object.assign(new Error('x'), {
    stack: `Error: x\n${'    at f (/a.js:1:2)\n'.repeat(5_000)}`,
  });
  expect(stackOf(long)!.length).toBeLessThanOrEqual(16_000);
});

describe('visible', () => {
  it('nothing is left for a terminal to obey', () => {
    const text = 'a\u001b]52;c;x\u0007\u009b2J\u202eb\u2028c\td\ne';
    expect(visibleLine(text)).toBe('a\\u001b]52;c;x\\u0007\\u009b2J\\u202eb\\u2028c\\td\\ne');
    expect(visibleText(text)).toBe('a\\u001b]52;c;x\\u0007\\u009b2J\\u202eb\\u2028c\td\ne');
    expect(visibleLine('Jõgeva, 東京, 👩‍👧')).toBe('Jõgeva, 東京, 👩‍👧');
  });

  it('JSON stays the same value', () => {
    fc.assert(
      fc.property(fc.json(), fc.string({ unit: 'binary' }), (json, text) => {
        const value: unknown = { [text]: text, json: JSON.parse(json) };
        const shown = visibleJson(JSON.stringify(value, null, 2));
        expect(JSON.parse(shown)).toEqual(JSON.parse(JSON.stringify(value)));
        expect(shown).not.toMatch(/[\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
        expect(shown).not.toContain('\u001b');
      }),
    );
  });
});

function caught(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return error;
  }
}
