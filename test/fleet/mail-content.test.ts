// What an email may hold, on its way through the real nodemailer to a real mail server: raw lines, dates, invitations, images, file names.

import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { emailMessage } from '../../src/define/messages.ts';
import { handoverOf } from '../../src/delivery/handover.ts';
import { failureOf } from '../../src/delivery/failure.ts';
import { createProvider } from '../../src/email/choose.ts';
import { readEmail, type EmailInput } from '../../src/email/email.ts';
import { EmailError } from '../../src/email/error.ts';
import type { EmailProvider } from '../../src/email/provider.ts';
import { WaybillError } from '../../src/errors.ts';
import { startSmtp, type Mail } from '../support/smtp.ts';

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.close();
});

const input: EmailInput = { to: 'ann@b.test', subject: 'Hello', text: 'Hi' };
const createdAt = new Date('2026-01-01T00:00:00Z');
const id = '01900000-0000-7000-8000-000000000001';

function enqueued(email: object, availableAt?: Date) {
  return emailMessage({ ...input, ...email, availableAt } as never, { from: 'Shop <shop@shop.test>' });
}

function smtpProvider(smtpUrl: string): EmailProvider {
  const provider = createProvider(
    'smtp',
    {
      smtpUrl,
      leaseMs: 15_000,
      production: true,
      resendApiKey: null,
      resendBaseUrl: '',
    },
    {
      log: { info: () => undefined, warn: () => undefined },
      db: { executeSql: () => Promise.reject(new Error('no database')) },
    },
  );
  open.push({ close: async () => provider.close?.() });
  return provider;
}

/** Recorded, read again and sent, as a worker does it. */
async function sent(
  email: object,
  { availableAt, attempts = 1 }: { availableAt?: Date; attempts?: number } = {},
): Promise<Mail[]> {
  const smtp = await startSmtp();
  open.push(smtp);
  const provider = smtpProvider(smtp.url);
  const payload: unknown = JSON.parse(JSON.stringify(enqueued(email, availableAt).payload));
  for (let attempt = 0; attempt < attempts; attempt++) {
    const read = readEmail(payload, { defaultFrom: null });
    const recipients = read.email.to.map(({ address }) => address);
    const about = handoverOf({ id, createdAt }, read, recipients);
    await provider.send(read.email, { ...about, signal: AbortSignal.timeout(20_000) });
  }
  return smtp.mails;
}

function codeOf(email: object): WaybillError {
  try {
    enqueued(email);
  } catch (error) {
    if (error instanceof WaybillError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

const lines = ({ source }: Mail): string[] => source.split('\r\n');
const headOf = (mail: Mail): string => mail.source.slice(0, mail.source.indexOf('\r\n\r\n'));
const file = (filename: string, more: object = {}) => ({ filename, content: 'hello', ...more });

describe('no line is longer than servers take', () => {
  const url = (length: number) => `https://b.test/${'t'.repeat(length - 'https://b.test/'.length)}`;

  test.each([
    [
      'an unsubscribeUrl of 1,500',
      { unsubscribeUrl: url(1_500) },
      'List-Unsubscribe needs a line of 1520 octets',
    ],
    [
      'one of a single octet too many',
      { unsubscribeUrl: url(979) },
      'List-Unsubscribe needs a line of 999 octets',
    ],
    ['a header of 1,620', { headers: { 'X-Link': url(1_620) } }, 'X-Link needs a line of 1628 octets'],
    [
      'a long word among others',
      { headers: { 'X-Link': `see ${url(1_200)} there` } },
      'X-Link needs a line of 1208 octets',
    ],
    ['many blanks', { headers: { 'X-A': `a${' '.repeat(200)}b` } }, 'blanks in a row'],
    ['ids that would be raw bytes', { headers: { References: '<ü@b.test>' } }, 'takes ASCII alone'],
  ])('%s is refused', (_, email, says) => {
    expect(codeOf(email).message).toContain(says);
    expect(codeOf(email).code).toMatch(/^header_/);
  });

  test('what is accepted arrives as it was given, in lines of at most 998 octets', async () => {
    const value = `${'ü'.repeat(600)} ${'word '.repeat(500)}`.trim();
    const [mail] = await sent({
      subject: 'x'.repeat(998),
      unsubscribeUrl: url(978),
      headers: { 'X-Link': url(990), 'X-Words': value, References: '<a@b.test> '.repeat(300).trim() },
      to: Array.from({ length: 100 }, (_, i) => ({
        name: '"\\'.repeat(128),
        address: `${'a'.repeat(60)}${i}@b.test`,
      })),
      attachments: [file(`${'n'.repeat(251)}.txt`), file('ü'.repeat(255)), file(`${'"'.repeat(250)}.txt`)],
      text: 'y'.repeat(5_000),
    });
    expect(Math.max(...lines(mail!).map((one) => Buffer.byteLength(one)))).toBeLessThanOrEqual(998);
    expect(
      headOf(mail!)
        .split('\r\n')
        .filter((one) => one.trim() === ''),
    ).toEqual([]);
    expect(mail!.parsed.subject).toBe('x'.repeat(998));
    expect(mail!.headerLines).toContain(`X-Link: ${url(990)}`);
    expect(mail!.headerLines).toContain(`List-Unsubscribe: <${url(978)}>`);
    expect(mail!.parsed.to).toHaveLength(100);
    expect(mail!.parsed.to![0]!.name).toBe('"\\'.repeat(128));
    expect(mail!.parsed.attachments.map(({ filename }) => filename?.length)).toEqual([255, 255, 254]);
  });
});

test('a header in ASCII arrives as it was given, JSON too', async () => {
  const value = `{"category": ["tea"], "words": "${'word '.repeat(60)}"}`;
  const [mail] = await sent({
    headers: { 'X-SMTPAPI': value, 'X-Word': 'Grüße', 'In-Reply-To': '<a@b.test>', 'X-Blank': ' ' },
  });
  expect(mail!.headerLines).toContain(`X-SMTPAPI: ${value}`);
  expect(mail!.headerLines).toContain('In-Reply-To: <a@b.test>');
  expect(mail!.headerLines).toContain('X-Word: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=');
  expect(mail!.parsed.text?.trim()).toBe('Hi');
});

describe('a server that answers with a megabyte', () => {
  async function answering(reply: string): Promise<string> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined).write('220 b.test\r\n');
      socket.on(
        'data',
        (data) => void socket.write(data.toString().startsWith('RCPT') ? reply : '250 ok\r\n'),
      );
    });
    await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
    open.push({
      close: () => {
        for (const socket of sockets) socket.destroy();
        return new Promise((done) => void server.close(() => done()));
      },
    });
    return `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  test.each([
    ['in one line', `550 ${'x'.repeat(1_000_000)}\r\n`],
    ['in many lines', `${'550-no\r\n'.repeat(125_000)}550 no\r\n`],
    ['of addresses', `550 ${'ann@b.test '.repeat(90_000)}\r\n`],
    ['without an end', 'x'.repeat(1_000_000)],
  ])('%s ends the attempt, with a text that can be kept', async (_, reply) => {
    const provider = smtpProvider(await answering(reply));
    const { email } = readEmail(enqueued({}).payload, { defaultFrom: null });
    const about = handoverOf({ id, createdAt }, { email }, ['ann@b.test']);
    const error: unknown = await provider
      .send(email, { ...about, signal: AbortSignal.timeout(20_000) })
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(EmailError);
    expect(failureOf(error).message.length).toBeLessThanOrEqual(4_100);
  });
});

describe('the date', () => {
  const later = new Date('2026-01-08T09:00:00Z');

  test('of an email for later is when it becomes available, on every attempt', async () => {
    const mails = await sent({}, { availableAt: later, attempts: 3 });
    for (const mail of mails) expect(mail.headerLines).toContain('Date: Thu, 08 Jan 2026 09:00:00 +0000');
    expect(new Set(mails.map(({ source }) => source)).size).toBe(1);
  });

  test('of another is when it was recorded', async () => {
    const [now] = await sent({});
    const [before] = await sent({}, { availableAt: new Date('2025-12-01T00:00:00Z') });
    for (const mail of [now, before])
      expect(mail!.headerLines).toContain('Date: Thu, 01 Jan 2026 00:00:00 +0000');
  });

  test('a follow-up to some recipients has the date of the first', () => {
    const only = { of: id, recipients: ['ann@b.test'] };
    const read = readEmail({ ...(enqueued({}, later).payload as object), only }, { defaultFrom: null });
    expect(
      handoverOf({ id, createdAt: new Date('2026-01-09T00:00:00Z') }, read, only.recipients).date,
    ).toEqual(new Date('2026-01-09T00:00:00Z'));
    expect(read.email.date).toBe('2026-01-08T09:00:00.000Z');
  });

  test('is not for callers to give', () =>
    expect(codeOf({ date: later.toISOString() }).code).toBe('unknown_field'));
});

const event = (method: string) =>
  [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    `METHOD:${method}`,
    'BEGIN:VEVENT',
    'UID:1',
    'END:VEVENT',
    'END:VCALENDAR',
  ].join('\r\n');

describe('invitations', () => {
  test('are another form of the email, and a file', async () => {
    const [mail] = await sent({
      html: '<p>Come</p>',
      calendar: { method: 'REQUEST', content: `${event('REQUEST').replaceAll('\r\n', '\n')}\n` },
    });
    const { source } = mail!;
    const alternative = source.indexOf('multipart/alternative');
    expect(source.indexOf('Content-Type: text/plain')).toBeGreaterThan(alternative);
    expect(source.indexOf('Content-Type: text/html')).toBeGreaterThan(
      source.indexOf('Content-Type: text/plain'),
    );
    expect(source).toMatch(/Content-Type: text\/calendar; charset=utf-8; method=REQUEST/);
    expect(source.indexOf('text/calendar')).toBeGreaterThan(source.indexOf('text/html'));
    expect(source).toContain('filename=invite.ics');
    const encoded = Buffer.from(`${event('REQUEST')}\r\n`).toString('base64'); // with line ends as iCalendar has them
    expect(source.replaceAll('\r\n', '')).toContain(encoded);
  });

  test('as an attachment with parameters in quotes', async () => {
    const contentType = 'text/calendar; charset="UTF-8"; method="REQUEST"';
    const [mail] = await sent({
      attachments: [{ filename: 'invite.ics', content: event('REQUEST'), contentType }],
    });
    expect(mail!.source.replaceAll(/\r\n[ \t]/g, ' ')).toMatch(
      /Content-Type: text\/calendar; charset="?UTF-8"?; method="?REQUEST"?; name=invite\.ics/,
    );
  });

  test.each([
    ['another method', { method: 'CANCEL', content: event('REQUEST') }, 'calendar_invalid'],
    ['two methods', { method: 'REQUEST', content: event('REQUEST\r\nMETHOD:CANCEL') }, 'calendar_invalid'],
    ['no iCalendar', { method: 'REQUEST', content: 'Tuesday' }, 'calendar_invalid'],
    ['an unknown method', { method: 'INVITE', content: event('INVITE') }, 'invalid_email'],
    ['a path', { method: 'REQUEST', path: '/etc/passwd' }, 'unknown_field'],
    ['a text', event('REQUEST'), 'must_be_object'],
  ])('%s is refused', (_, calendar, code) => expect(codeOf({ calendar }).code).toBe(code));
});

describe('images in the html', () => {
  const logo = file('logo.png', {
    content: 'iVBORw0KGgo=',
    encoding: 'base64',
    contentType: 'image/png',
    cid: 'logo@shop.test',
  });

  test('stand beside it, and other files do not', async () => {
    const [mail] = await sent({ html: '<img src="cid:logo@shop.test">', attachments: [logo, file('a.txt')] });
    const { source } = mail!;
    expect(source).toContain('multipart/related');
    expect(source).toContain('Content-ID: <logo@shop.test>');
    expect(source).toContain('Content-Disposition: inline; filename=logo.png');
    expect(source).toContain('Content-Disposition: attachment; filename=a.txt');
  });

  test.each([
    ['a cid that is not attached', { html: '<img src=cid:logo>' }, 'cid_not_attached'],
    ['one in a style', { html: '<p style="background: url( \'cid:x%40y\' )">' }, 'cid_not_attached'],
    ['a part that the html does not show', { html: '<p>Tea</p>', attachments: [logo] }, 'cid_invalid'],
    ['a part without html', { attachments: [logo] }, 'cid_invalid'],
    [
      'the same cid twice',
      { html: '<img src="cid:logo@shop.test">', attachments: [logo, logo] },
      'cid_invalid',
    ],
    [
      'a cid with a line end',
      { html: '<p>', attachments: [{ ...logo, cid: 'a\r\nb' }] },
      'control_character',
    ],
    ['a cid that is none', { html: '<p>', attachments: [{ ...logo, cid: '<a b>' }] }, 'cid_invalid'],
  ])('%s is refused', (_, email, code) => expect(codeOf(email).code).toBe(code));

  test('a text that only mentions cid: is no image', () =>
    expect(() => enqueued({ html: '<p>acid:x and cid:y</p>' })).not.toThrow());
});

describe('attachments', () => {
  test.each([
    ['../../x', 'filename_invalid'], ['a/b', 'filename_invalid'], ['C:\\x', 'filename_invalid'], ['..', 'filename_invalid'], ['', 'filename_invalid'],
    ['a.', 'filename_invalid'], ['a ', 'filename_invalid'], [' a', 'filename_invalid'], ['n'.repeat(10_000), 'filename_invalid'],
    ['a\u202Efdp.exe', 'filename_invalid'], ['=?UTF-8?Q?a?=.txt', 'filename_invalid'], ['a\r\nb', 'control_character'], ['a\tb', 'control_character'], ['a\0b', 'null_character'], ['\ud800', 'invalid_unicode'],
  ])('the name %j is refused', (name, code) => expect(codeOf({ attachments: [file(name)] }).code).toBe(code)); // prettier-ignore

  test.each(['Angebot "Tee".pdf', "it's; a=b, c.txt", '.env', 'Größe 100 %.txt', '茶.txt'])(
    'the name %j arrives',
    async (name) => {
      const [mail] = await sent({ attachments: [file(name)] });
      expect(mail!.parsed.attachments.map(({ filename }) => filename)).toEqual([name]);
    },
  );

  test.each([
    ['multipart/mixed; boundary=a', 'content_type_invalid'], ['message/external-body; access-type=local-file; name="/etc/passwd"', 'content_type_invalid'],
    ['text/plain; charset="a', 'content_type_invalid'], ['text/plain;', 'content_type_invalid'], ['text', 'content_type_invalid'],
    [`text/plain; a=${'"a"; b='.repeat(60)}c`, 'content_type_invalid'], ['text/plain; a="ü"', 'content_type_invalid'],
  ])('the type %s is refused', (contentType, code) => expect(codeOf({ attachments: [file('a', { contentType })] }).code).toBe(code)); // prettier-ignore

  test.each([['abcde'], ['a==='], ['aGk=aGk='], ['aGVsbG8=='], ['!']])('%s is no base64', (content) => {
    expect(codeOf({ attachments: [file('a', { content, encoding: 'base64' })] }).code).toBe('invalid_base64');
  });

  test('a message in a message has no long lines', () => {
    const long = { contentType: 'message/rfc822', content: `X: y\r\n\r\n${'z'.repeat(999)}` };
    expect(codeOf({ attachments: [file('a.eml', long)] }).code).toBe('line_too_long');
  });
});
