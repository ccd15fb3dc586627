// Mailboxes: what configuration takes is what an enqueue takes, and what goes out over the wire is read back from reports. nodemailer is
// the real one.

import fc from 'fast-check';
import { createTransport } from 'nodemailer';
import { describe, expect, test } from 'vitest';
import { isEmailAddress, parseAddress, reportedAddress, writeMailbox } from '../../src/address/mailbox.ts';
import { mailOf } from '../../src/email/mime.ts';
import { prepareEmail } from '../../src/email/email.ts';
import { parseResendReport } from '../../src/email/resend/report.ts';
import { WaybillError } from '../../src/errors.ts';
import { ConfigError, readConfig } from '../../src/config/config.ts';

const good = { to: 'ann@b.test', subject: 'Hello', text: 'Hi' };

const refused: readonly [text: string, code: string, says: string][] = [
  ['Acme, Inc. <orders@shop.test>', 'name_not_quoted', 'write "Acme, Inc." <orders@shop.test>'],
  ['Shop: Orders <orders@shop.test>', 'name_not_quoted', 'write "Shop: Orders" <orders@shop.test>'],
  ['Doe; Ann <ann@b.test>', 'name_not_quoted', 'write "Doe; Ann" <ann@b.test>'],
  ['ann@home <ann@b.test>', 'name_not_quoted', 'write "ann@home" <ann@b.test>'],
  ['jörg@shop.test', 'smtputf8_not_supported', 'the part before the @ must be ASCII'],
  ['mailto:ann@b.test', 'invalid_address', 'without mailto:'],
  ['Ann <MAILTO:ann@b.test>', 'invalid_address', 'without mailto:'],
  ['"Ann <ann@b.test>', 'invalid_address', 'a quote is not closed'],
  ['Ann 5" Lee <ann@b.test>', 'invalid_address', 'a quote is written \\"'],
  ['"Doe, Ann" ann@b.test', 'invalid_address', 'stands in < >'],
  ['"Doe, Ann"', 'invalid_address', 'stands in < >'],
  ['Ann <ann@b.test', 'invalid_address', 'no > after it'],
  ['Ann <ann@b.test> (sales)', 'invalid_address', 'nothing may follow the >'],
  ['ann@b.test (sales)', 'invalid_address', 'comment in ( )'],
  ['Ann ann@b.test', 'invalid_address', 'Ann <ann@shop.example>'],
  ['ann@[127.0.0.1]', 'invalid_address', 'write a domain'],
  ['a@b.test, c@d.test', 'one_address_per_string', 'use a list'],
  ['a@b.test, Bob <b@b.test>', 'one_address_per_string', 'use a list'],
  ['Ann <a@b.test>, Bob <b@b.test>', 'one_address_per_string', 'use a list'],
  ['"Doe, Ann" <a@b.test>; Bob <b@b.test>', 'one_address_per_string', 'use a list'],
  ['team: a@b.test, c@d.test;', 'address_group_not_allowed', 'name its members'],
  ['team: Ann <a@b.test>;', 'address_group_not_allowed', 'name its members'],
  ['"ann x"@b.test', 'quoted_local_part_not_allowed', 'not accepted'],
  ['=?UTF-8?Q?Ann=0D=0ABcc:_evil@z.test?= <a@b.test>', 'name_not_quoted', 'stands in quotes'],
  ['=?UTF-8?Q?Ann=0D=0ABcc?= <a@b.test>', 'control_character', 'a control character'],
  [`${'a'.repeat(65)}@b.test`, 'invalid_address', '65 characters; at most 64'],
  ['<>', 'invalid_address', 'name@domain.tld'],
  ['', 'invalid_address', 'name@domain.tld'],
];

function codeOf(run: () => unknown): { code: string; message: string } {
  try {
    run();
  } catch (error) {
    if (error instanceof WaybillError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

function problemsOf(from: string): string {
  try {
    readConfig({ DATABASE_URL: 'postgres://u:p@h/d', WAYBILL_EMAIL_FROM: from });
    return '';
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
}

describe('refused, with what to write instead, by configuration and at enqueue alike', () => {
  test.each(refused)('%s', (text, code, says) => {
    expect(parseAddress(text)).toMatchObject({ code, message: expect.stringContaining(says) });
    const at = text === '' ? 'from' : 'to';
    if (text !== '')
      expect(codeOf(() => prepareEmail({ ...good, to: text }, { defaultFrom: 'a@b.test' })).code).toBe(code);
    expect(codeOf(() => prepareEmail({ ...good, [at]: text, from: text }, { defaultFrom: null })).code).toBe(
      code,
    );
    if (text !== '' && !text.endsWith('"')) expect(problemsOf(text)).toContain(says);
  });

  test('a sender that configuration would not take is no fault of the caller', () => {
    expect(codeOf(() => prepareEmail(good, { defaultFrom: 'Acme, Inc. <orders@shop.test>' }))).toMatchObject({
      code: 'sender_misconfigured',
      message: expect.stringContaining('write "Acme, Inc." <orders@shop.test>'),
    });
  });
});

describe('accepted', () => {
  test.each([
    ['ann@b.test', { address: 'ann@b.test' }],
    ['  Ann Lee   <ann@B.test> ', { name: 'Ann Lee', address: 'ann@b.test' }],
    ['<ann@b.test>', { address: 'ann@b.test' }],
    ['"" <ann@b.test>', { address: 'ann@b.test' }],
    ['"Ann \\"Annie\\" Lee" <ann@b.test>', { name: 'Ann "Annie" Lee', address: 'ann@b.test' }],
    ['Ann "Annie" Lee <ann@b.test>', { name: 'Ann "Annie" Lee', address: 'ann@b.test' }],
    ['"back\\\\slash" <ann@b.test>', { name: 'back\\slash', address: 'ann@b.test' }],
    ['"a <b@c.test>, d" <ann@b.test>', { name: 'a <b@c.test>, d', address: 'ann@b.test' }],
    ["O'Neil & Söhne (Kiel) <ann@b.test>", { name: "O'Neil & Söhne (Kiel)", address: 'ann@b.test' }],
    ['=?UTF-8?Q?J=C3=BCrgen_?= =?utf-8?B?TMO8?= <j@b.test>', { name: 'Jürgen Lü', address: 'j@b.test' }],
    ['=?ISO-8859-1?Q?J=FCrgen?= <j@b.test>', { name: 'Jürgen', address: 'j@b.test' }],
    ['=?x-none?Q?Ann?= <j@b.test>', { name: '=?x-none?Q?Ann?=', address: 'j@b.test' }],
    ['"=?UTF-8?Q?Ann?=" <j@b.test>', { name: '=?UTF-8?Q?Ann?=', address: 'j@b.test' }],
  ])('%s', (text, address) => {
    expect(parseAddress(text)).toEqual(address);
    expect(problemsOf(text.trim())).toBe('');
    expect(prepareEmail({ ...good, from: text }, { defaultFrom: null }).from).toEqual(address);
  });

  test('one bare address, for the schemas of applications', () => {
    expect(['a@b.test', 'Ann <a@b.test>', 'a@b', ' '.repeat(600)].map(isEmailAddress)).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });
});

/** Anything that a name may hold, with what is syntax in a header more often than chance would have it. */
const names = fc
  .string({
    unit: fc.oneof(
      fc.constantFrom(...Array.from('"\\<>(),;:@=?_.')),
      fc.constantFrom('ü', 'é', '漢', '\u{1F600}', ' ', 'a', 'Z', '7'),
      fc.string({ minLength: 1, maxLength: 1, unit: 'grapheme' }),
    ),
    maxLength: 40,
  })
  .map((name) => name.trim())
  .filter((name) => name !== '' && 'address' in parsed(name));
const parsed = (name: string) => parseAddress({ name, address: 'ann@b.test' });
const addresses = fc.constantFrom(
  'ann@b.test',
  "o'neil+tag@sub.b.test",
  'j@xn--mger-loa.ee',
  '{x}@b.test',
  `${'a'.repeat(64)}@b.test`,
);

describe('what is written is read back', () => {
  test('as we write it for Resend, in reports of bounces too', () => {
    fc.assert(
      fc.property(names, addresses, (name, address) => {
        const written = writeMailbox({ name, address });
        expect(parseAddress(written)).toEqual({ name, address });
        const data = { email_id: 'x', to: [written], bounce: { type: 'Permanent' } };
        const report = parseResendReport(JSON.stringify({ type: 'email.bounced', data }), 'id');
        expect(report).toMatchObject({ recipients: [address], suppress: 'bounced' });
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    ['Doe, Ann <ann@b.test>', 'ann@b.test'],
    ['Shop: Orders <Ann@B.test> ', 'Ann@b.test'],
    ['Ann "Annie <ann@b.test>', 'ann@b.test'],
    ['<ann@b.test>', 'ann@b.test'],
    ['ann@b.test', 'ann@b.test'],
    ['Ann <ann>', undefined],
    ['a@b.test, c@d.test', undefined],
    ['<'.repeat(100_000), undefined],
  ])('a report may have lost the quotes of a name: %s', (text, address) =>
    expect(reportedAddress(text)).toBe(address),
  );

  test('as nodemailer writes it on the wire', async () => {
    const transport = createTransport({ streamTransport: true, buffer: true, newline: 'windows' });
    await fc.assert(
      fc.asyncProperty(names, addresses, async (name, address) => {
        const email = prepareEmail({ ...good, to: { name, address } }, { defaultFrom: 'shop@shop.test' });
        const about = {
          messageId: '<1@b.test>',
          date: new Date(0),
          recipients: [address],
          idempotencyKey: '1',
          signal: AbortSignal.timeout(1_000),
        };
        const { message } = await transport.sendMail(mailOf(email, about));
        const head = (message as Buffer).toString().replaceAll(/\r\n(?=[ \t])/g, '');
        const to = /^To: (.*)$/m.exec(head)?.[1]?.replace(/\r$/, '') ?? '';
        expect(parseAddress(to)).toEqual({ name, address });
      }),
      { numRuns: 500 },
    );
  });
});
