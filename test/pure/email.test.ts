// What an email may be: each kind of bad input has its code, and what is accepted is stored in one form.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseAddress } from '../../src/address/mailbox.ts';
import { cidProblem, type Attachment } from '../../src/email/attachment.ts';
import { headerFields, prepareEmail } from '../../src/email/email.ts';
import { emailMessage } from '../../src/define/messages.ts';
import { WaybillError } from '../../src/errors.ts';
import { createMemoryOutbox } from '../../src/store/memory.ts';
import { maskAddresses } from '../../src/redaction/addresses.ts';

const good = { to: 'ann@b.test', subject: 'Hello', text: 'Hi' };
const options = { defaultFrom: 'Shop <shop@shop.test>' };

function refusal(input: unknown, defaultFrom: string | null = options.defaultFrom): WaybillError {
  try {
    prepareEmail(input, { defaultFrom });
  } catch (error) {
    if (error instanceof WaybillError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

const many = (n: number) => Array.from({ length: n }, (_, i) => `a${i}@b.test`);

const refused: readonly [title: string, code: string, path: string, input: unknown][] = [
  ['null', 'must_be_object', '', null],
  ['a list', 'must_be_object', '', []],
  ['a text', 'must_be_object', '', 'x'],
  ['no to', 'to_required', 'to', { subject: 's', text: 't' }],
  ['to null', 'to_required', 'to', { ...good, to: null }],
  ['to empty', 'to_required', 'to', { ...good, to: '' }],
  ['to an empty list', 'to_required', 'to', { ...good, to: [] }],
  ['to a number', 'invalid_address', 'to', { ...good, to: 5 }],
  ['an empty address in a list', 'invalid_address', 'to[1]', { ...good, to: ['a@b.test', ''] }],
  ['two addresses in one text', 'one_address_per_string', 'to', { ...good, to: 'b@y.test, evil@z.test' }],
  ['two addresses with a semicolon', 'one_address_per_string', 'to', { ...good, to: 'b@y.test;evil@z.test' }],
  [
    'two named addresses in one text',
    'one_address_per_string',
    'to',
    { ...good, to: 'Ann <a@b.test>, Bob <b@b.test>' },
  ],
  [
    'two addresses in an object',
    'one_address_per_string',
    'to',
    { ...good, to: { address: 'b@y.test,evil@z.test' } },
  ],
  ['a group', 'address_group_not_allowed', 'to', { ...good, to: 'grp: a@x.test, b@y.test;' }],
  ['an empty group', 'address_group_not_allowed', 'to', { ...good, to: 'undisclosed-recipients:;' }],
  ['no @', 'invalid_address', 'to', { ...good, to: 'bob' }],
  ['no domain', 'invalid_address', 'to', { ...good, to: 'a@' }],
  ['no local part', 'invalid_address', 'to', { ...good, to: '@b.test' }],
  ['one label', 'invalid_address', 'to', { ...good, to: 'a@b' }],
  ['a space', 'invalid_address', 'to', { ...good, to: 'a b@c.test' }],
  ['two @', 'invalid_address', 'to', { ...good, to: 'a@b@c.test' }],
  ['two dots', 'invalid_address', 'to', { ...good, to: 'a..b@c.test' }],
  ['a trailing dot', 'invalid_address', 'to', { ...good, to: 'a@c.test.' }],
  ['an IP', 'invalid_address', 'to', { ...good, to: 'a@127.1' }],
  ['an address literal', 'invalid_address', 'to', { ...good, to: 'a@[127.0.0.1]' }],
  ['a percent escape in the domain', 'invalid_address', 'to', { ...good, to: 'a@b%2etest' }],
  ['a comment', 'invalid_address', 'to', { ...good, to: 'a@b.test (evil@z.test)' }],
  ['a local part of 65', 'invalid_address', 'to', { ...good, to: `${'a'.repeat(65)}@b.test` }],
  ['a label of 64', 'invalid_address', 'to', { ...good, to: `a@${'b'.repeat(64)}.test` }],
  ['255 in all', 'invalid_address', 'to', { ...good, to: `a@${`${'b'.repeat(50)}.`.repeat(5)}test` }],
  [
    'a quoted local part',
    'quoted_local_part_not_allowed',
    'to',
    { ...good, to: '"evil@z.test x"@internal.test' },
  ],
  ['a local part that is not ASCII', 'smtputf8_not_supported', 'to', { ...good, to: 'jõgeva@b.test' }],
  ['CRLF in an address', 'control_character', 'to', { ...good, to: 'b@y.test\r\nBcc: evil@z.test' }],
  [
    'CRLF in a name',
    'control_character',
    'to',
    { ...good, to: { name: 'Ann\r\nBcc: evil@z.test', address: 'a@b.test' } },
  ],
  ['CRLF at the end', 'control_character', 'to', { ...good, to: 'b@y.test\r\n' }],
  [
    'half a surrogate pair in a name',
    'invalid_unicode',
    'to',
    { ...good, to: { name: '\ud800', address: 'a@b.test' } },
  ],
  ['another field in an address', 'unknown_field', 'to', { ...good, to: { address: 'a@b.test', group: [] } }],
  ['a name of 257', 'invalid_address', 'to', { ...good, to: { name: 'n'.repeat(257), address: 'a@b.test' } }],
  ['a number as name', 'invalid_address', 'to', { ...good, to: { name: 5, address: 'a@b.test' } }],
  ['10,000 recipients', 'too_many_recipients', '', { ...good, to: many(10_000) }],
  ['101 recipients', 'too_many_recipients', '', { ...good, to: many(101) }],
  [
    '101 recipients over three fields',
    'too_many_recipients',
    '',
    { ...good, to: 'x@y.test', cc: many(99), bcc: 'z@y.test' },
  ],
  ['a bad cc', 'invalid_address', 'cc[0]', { ...good, cc: ['bob'] }],
  ['two senders', 'one_address_per_string', 'from', { ...good, from: 'a@b.test, c@d.test' }],
  ['CRLF in from', 'control_character', 'from', { ...good, from: 'a@b.test\r\nX: y' }],
  ['no subject', 'subject_required', 'subject', { to: good.to, text: 't' }],
  ['an empty subject', 'subject_required', 'subject', { ...good, subject: '' }],
  ['subject a number', 'must_be_string', 'subject', { ...good, subject: 5 }],
  ['CRLF in the subject', 'control_character', 'subject', { ...good, subject: 'Hi\r\nBcc: evil@z.test' }],
  ['a tab in the subject', 'control_character', 'subject', { ...good, subject: 'a\tb' }],
  ['a line separator in the subject', 'control_character', 'subject', { ...good, subject: 'a\u2028b' }],
  ['a subject of 999', 'subject_too_long', 'subject', { ...good, subject: 'x'.repeat(999) }],
  ['a subject of 1 MB', 'subject_too_long', 'subject', { ...good, subject: 'x'.repeat(1e6) }],
  ['U+0000 in the subject', 'null_character', 'subject', { ...good, subject: 'a\0' }],
  ['U+0000 in the text', 'null_character', 'text', { ...good, text: 'a\0' }],
  ['half a surrogate pair in html', 'invalid_unicode', 'html', { ...good, html: '\udc00' }],
  ['neither html nor text', 'content_required', '', { to: good.to, subject: 's' }],
  ['both empty', 'content_required', '', { ...good, html: '', text: '' }],
  ['html as a path', 'must_be_string', 'html', { ...good, html: { path: '/etc/passwd' } }],
  ['text as a URL', 'must_be_string', 'text', { ...good, text: { href: 'http://169.254.169.254/' } }],
  ['html a number', 'must_be_string', 'html', { ...good, html: 123 }],
  ['raw', 'unknown_field', 'raw', { ...good, raw: { path: '/etc/passwd' } }],
  ['envelope', 'unknown_field', 'envelope', { ...good, envelope: { to: 'evil@z.test' } }],
  ['an option of the message', 'unknown_field', 'deliveryKey', { ...good, deliveryKey: 'k' }],
  ['a structural header', 'header_not_allowed', 'headers.bcc', { ...good, headers: { bcc: 'evil@z.test' } }],
  [
    'a broadcast without a way out',
    'unsubscribe_url_required',
    'unsubscribeUrl',
    { ...good, stream: 'broadcast' },
  ],
  ['an unknown stream', 'invalid_email', 'stream', { ...good, stream: 'spam' }],
  [
    'unsubscribing by http',
    'unsubscribe_url_invalid',
    'unsubscribeUrl',
    { ...good, unsubscribeUrl: 'http://b.test/u' },
  ],
  [
    'unsubscribing by mail',
    'unsubscribe_url_invalid',
    'unsubscribeUrl',
    { ...good, unsubscribeUrl: 'mailto:u@b.test' },
  ],
  [
    'a password in unsubscribeUrl',
    'unsubscribe_url_invalid',
    'unsubscribeUrl',
    { ...good, unsubscribeUrl: 'https://a:b@b.test/u' },
  ],
  [
    'CRLF in unsubscribeUrl',
    'control_character',
    'unsubscribeUrl',
    { ...good, unsubscribeUrl: 'https://b.test/u\r\nBcc: evil@z.test' },
  ],
  [
    'two ways out',
    'header_not_allowed',
    'headers.list-unsubscribe',
    { ...good, unsubscribeUrl: 'https://b.test/u', headers: { 'list-unsubscribe': '<https://c.test>' } },
  ],
  [
    'a part of another message, which only a delivery makes',
    'unknown_field',
    'only',
    { ...good, only: { of: '01900000-0000-7000-8000-000000000001', recipients: ['x@y.test'] } },
  ],
  [
    'a content header',
    'header_not_allowed',
    'headers.Content-Type',
    { ...good, headers: { 'Content-Type': 'text/html' } },
  ],
  ['a colon in a header name', 'header_not_allowed', 'headers.X: y', { ...good, headers: { 'X: y': '1' } }],
  ['a space in a header name', 'header_not_allowed', 'headers.X y', { ...good, headers: { 'X y': '1' } }],
  [
    'CRLF in a header name',
    'header_not_allowed',
    'headers.X\r\nBcc',
    { ...good, headers: { 'X\r\nBcc': 'evil@z.test' } },
  ],
  [
    'CRLF in a header value',
    'control_character',
    'headers.X-A',
    { ...good, headers: { 'X-A': 'a\r\nBcc: evil@z.test' } },
  ],
  [
    'a header value that is no text',
    'must_be_string',
    'headers.X-A',
    { ...good, headers: { 'X-A': { prepared: true, value: 'a\r\nb' } } },
  ],
  [
    'an attachment by path',
    'unknown_field',
    'attachments[0].path',
    { ...good, attachments: [{ filename: 'a', content: '', path: '/etc/passwd' }] },
  ],
  [
    'an attachment by URL',
    'must_be_string',
    'attachments[0].content',
    { ...good, attachments: [{ filename: 'a', content: { href: 'http://x' } }] },
  ],
  [
    'CRLF in a file name',
    'control_character',
    'attachments[0].filename',
    { ...good, attachments: [{ filename: 'a\r\nb', content: '' }] },
  ],
  [
    'CRLF in a content type',
    'control_character',
    'attachments[0].contentType',
    { ...good, attachments: [{ filename: 'a', content: '', contentType: 'a/b\r\nX: y' }] },
  ],
  [
    'no base64',
    'invalid_base64',
    'attachments[0].content',
    { ...good, attachments: [{ filename: 'a', content: '!', encoding: 'base64' }] },
  ],
];

test('html of 5 MB is too large, whatever is derived from it', async () => {
  const { payload, ...message } = emailMessage(
    { ...good, html: `<p>${'tea '.repeat(1_250_000)}</p>` },
    { from: options.defaultFrom },
  );
  await expect(createMemoryOutbox().enqueue({ ...message, payload })).rejects.toMatchObject({
    code: 'payload_too_large',
  });
});

describe('what is derived', () => {
  const prepared = (input: object) => prepareEmail({ to: good.to, subject: 's', ...input }, options);

  test('a text from html alone, and the same when it is prepared again', () => {
    const html =
      '<style>p{color:red}</style><h1>Danke</h1><p>Tea &amp; <a href="https://s.test/o">order</a><img src=x></p>';
    const email = prepared({ html });
    expect(email.text).toBe('Danke\n\nTea & order [https://s.test/o]');
    expect(prepareEmail(email, options)).toEqual(email);
    expect(prepared({ html, text: 'own' }).text).toBe('own');
    expect(prepared({ html: '<img src="x">' })).not.toHaveProperty('text');
  });

  test('the rows of a table are lines, and its cells stand apart', () => {
    const html =
      '<table><tr><th>Tea</th><th>2</th></tr><tr><td>Cup &lt;3</td><td>1</td></tr></table><p>Bye</p>';
    expect(prepared({ html }).text).toBe('Tea 2\nCup <3 1\n\nBye');
  });

  test('twenty thousand nested elements do not break it', () => {
    expect(prepared({ html: `${'<b>'.repeat(20_000)}deep` }).html).toContain('deep');
  });

  test('the two fields of RFC 8058 from unsubscribeUrl', () => {
    const email = prepared({
      text: 't',
      stream: 'broadcast',
      unsubscribeUrl: 'https://b.test/ü?id=7',
      headers: { 'X-A': '1' },
    });
    expect(headerFields(email)).toEqual({
      'X-A': '1',
      'List-Unsubscribe': '<https://b.test/%C3%BC?id=7>',
      'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
    });
    expect(prepareEmail(email, options)).toEqual(email);
    expect(headerFields(prepared({ text: 't' }))).toEqual({});
  });
});

describe('refused', () => {
  test.each(refused)('%s: %s', (_, code, path, input) => {
    const error = refusal(input);
    expect(error.code).toBe(code);
    if (path !== '') expect(error.issues.map((issue) => issue.path)).toContain(path);
    expect(error.message.length).toBeLessThan(600);
  });

  test('an unknown field comes first and names the near one', () => {
    const error = refusal({ too: 'a@b.test', subject: 's', text: 't' });
    expect(error).toMatchObject({ code: 'unknown_field', message: expect.stringContaining('was to meant?') });
    expect(error.issues.map(({ path }) => path)).toEqual(['to', 'too']);
  });

  test('everything that is wrong is told at once', () => {
    const { issues } = refusal({ to: ['bob', 'a@b.test', '@'], subject: 'a\n', html: 5 });
    expect(issues.map(({ path }) => path)).toEqual(['to[0]', 'to[2]', 'subject', 'html']);
  });

  test('no sender anywhere, or a default that is none', () => {
    expect(refusal(good, null).code).toBe('from_required');
    expect(refusal(good, 'shop')).toMatchObject({
      code: 'sender_misconfigured',
      message: expect.stringContaining('WAYBILL_EMAIL_FROM'),
    });
  });
});

describe('accepted', () => {
  test('the three forms of an address, with the default sender', () => {
    const email = prepareEmail(
      { ...good, to: ['a@b.test', 'Ann <ann@B.Test>', { name: 'Bo "B", Jr', address: 'bo@b.test' }] },
      options,
    );
    expect(email).toEqual({
      from: { name: 'Shop', address: 'shop@shop.test' },
      to: [
        { address: 'a@b.test' },
        { name: 'Ann', address: 'ann@b.test' },
        { name: 'Bo "B", Jr', address: 'bo@b.test' },
      ],
      subject: 'Hello',
      text: 'Hi',
    });
  });

  test('a name in quotes may have a comma', () => {
    expect(parseAddress('"Doe, Ann" <ann@b.test>')).toEqual({ name: 'Doe, Ann', address: 'ann@b.test' });
  });

  test('an international domain becomes A-labels', () => {
    expect(prepareEmail({ ...good, to: ['j@mäger.ee', 'k@xn--mger-loa.ee'] }, options).to).toEqual([
      { address: 'j@xn--mger-loa.ee' },
      { address: 'k@xn--mger-loa.ee' },
    ]);
  });

  test('nobody gets it twice', () => {
    const email = prepareEmail(
      { ...good, to: ['a@b.test', 'A <a@B.test>'], cc: ['a@b.test', 'c@b.test'], bcc: 'c@b.test' },
      options,
    );
    expect(email).toMatchObject({ to: [{ address: 'a@b.test' }], cc: [{ address: 'c@b.test' }] });
    expect(email).not.toHaveProperty('bcc');
  });

  test('limits are inclusive', () => {
    const domain = `${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(57)}.test`;
    const email = prepareEmail(
      { ...good, to: [`${'a'.repeat(64)}@b.test`, `a@${domain}`, ...many(98)], subject: 'x'.repeat(998) },
      options,
    );
    expect(email.to).toHaveLength(100);
  });

  test('everything together is plain JSON', () => {
    const full = {
      ...good,
      html: '<p>Hi</p>',
      from: 'me@b.test',
      replyTo: 'r@b.test',
      headers: { 'X-Order': '7' },
      attachments: [
        { filename: 'a.txt', content: 'aGk=', encoding: 'base64', contentType: 'text/plain; charset=utf-8' },
      ],
    };
    const email = prepareEmail(full, options);
    expect(email).toEqual({
      ...full,
      to: [{ address: 'ann@b.test' }],
      from: { address: 'me@b.test' },
      replyTo: [{ address: 'r@b.test' }],
    });
    expect(JSON.parse(JSON.stringify(email))).toEqual(email);
  });
});

describe('no accepted input leaves a line break in a header field', () => {
  const nasty = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.string({
      unit: fc.constantFrom(
        'a',
        '@',
        'b.test',
        '<',
        '>',
        '"',
        ',',
        ';',
        ':',
        ' ',
        '\r',
        '\n',
        '\r\n',
        '\\',
        '\u2028',
        '\u0085',
      ),
      maxLength: 12,
    }),
  );
  const address = fc.oneof(
    fc.constant('a@b.test'),
    nasty,
    nasty.map((text) => `${text} <a@b.test>`),
    nasty.map((text) => `a@b.test${text}`),
  );
  const input = fc.record(
    {
      to: fc.oneof(
        address,
        fc.array(fc.oneof(address, fc.record({ name: nasty, address })), { maxLength: 3 }),
      ),
      replyTo: fc.record({ name: nasty, address }),
      from: address,
      subject: nasty,
      text: nasty,
      headers: fc.dictionary(fc.oneof(nasty, fc.constantFrom('X-A', 'List-Unsubscribe')), nasty, {
        maxKeys: 2,
      }),
      attachments: fc.array(fc.record({ filename: nasty, content: nasty }), { maxLength: 1 }),
    },
    { requiredKeys: ['to', 'subject', 'text'] },
  );

  test('of a thousand', () => {
    let accepted = 0;
    fc.assert(
      fc.property(input, (given) => {
        let email;
        try {
          email = prepareEmail(given, options);
        } catch (error) {
          expect(error).toBeInstanceOf(WaybillError);
          return;
        }
        accepted++;
        const { text: _, html: __, attachments = [], ...rest } = email;
        const fields = JSON.stringify([rest, attachments.map(({ filename }) => filename)]);
        expect(fields).not.toMatch(/\\[nrt]|\\u00[01]|[\u007f-\u009f\u2028\u2029]/);
        for (const { address: one } of [...email.to, email.from])
          expect(one).toMatch(/^[^\s@<>",;:]+@[a-z0-9.-]+$/);
      }),
      { numRuns: 3000 },
    );
    expect(accepted).toBeGreaterThan(0); // about one in a hundred is: the property was not empty
  });
});

describe('which cid: of the html refers to an attachment', () => {
  const logo = { filename: 'l.png', content: 'AAAA', encoding: 'base64', cid: 'logo' } as const;
  const about = (html: string, attachments: readonly Attachment[]) => cidProblem(html, attachments)?.code;

  test.each([
    '<img src="cid:logo">',
    "<img src='cid:logo'>",
    '<img alt=x src = cid:logo>',
    '<IMG\nSRC=CID:logo>',
    '<td background=" "><v:fill src= "cid:logo"/>',
    '<p style="background: url(cid:logo)">',
    '<p style="background: url( \'cid:logo\' )">',
  ])('this one: %s', (html) => {
    expect([about(html, [logo]), about(html, [])]).toEqual([undefined, 'cid_not_attached']);
  });

  test.each([
    '<a href="https://x.example/?ref=cid:42">',
    '<a href="https://x.example/?a=1&amp;ref=cid:42">',
    '<a href=https://x.example/ref=cid:42>',
    '<a href="ref=cid:42">',
    '<p>cid:42</p>',
  ])('not this one: %s', (html) => {
    expect(about(html, [])).toBeUndefined();
  });
});

describe('maskAddresses', () => {
  test.each([
    ['ann@b.test', 'a***@b.test'],
    ['550 <ann@b.test>: no such user', '550 <a***@b.test>: no such user'],
    ["user 'ann@b.test' or mailto:bo@b.test", "user 'a***@b.test' or mailto:b***@b.test"],
    ["o'brien@b.test", 'o***@b.test'],
    ['"ann x"@b.test', 'a***@b.test'],
    ['bounce+ann=b.test@x.test', 'b***@x.test'],
    ['jõgeva@mäger.ee', 'j***@mäger.ee'],
    ['a***@b.test', 'a***@b.test'],
    ['no address @ all', 'no address @ all'],
  ])('%s', (text, masked) => expect(maskAddresses(text)).toBe(masked));

  // With a pattern that starts anew at each letter, these run into the test's timeout.
  test.each(['x', '"', "'", 'x"'])('a long text of %s without an address is read once', (text) => {
    const long = text.repeat(1_000_000);
    expect(maskAddresses(long)).toBe(long);
  });
});
