// What Postmark and SendGrid are asked to send, and how recipients are distributed over the fields of a request, without asking anybody.

import { describe, expect, test } from 'vitest';
import { addressees, partlyRefused } from '../../src/email/addressees.ts';
import { EmailError } from '../../src/email/error.ts';
import { prepareEmail, type EmailInput } from '../../src/email/email.ts';
import { postmarkBody } from '../../src/email/postmark/body.ts';
import { withoutInactive } from '../../src/email/postmark/postmark.ts';
import { sendgridBody } from '../../src/email/sendgrid/body.ts';

const input: EmailInput = { from: 'Shop <shop@shop.test>', to: 'ann@b.test', subject: 'Hello', text: 'Hi' };
const id = '01900000-0000-7000-8000-000000000001';
const streams = { transactional: 'outbound', broadcast: 'news' };

function mailOf(over: Partial<EmailInput>, only?: readonly string[]) {
  const email = prepareEmail({ ...input, ...over }, { defaultFrom: null });
  const everybody = [...email.to, ...(email.cc ?? []), ...(email.bcc ?? [])].map(({ address }) => address);
  const date = new Date('2026-01-01T00:00:00Z');
  const about = { messageId: '<m1@shop.test>', idempotencyKey: id, date, recipients: only ?? everybody };
  return [email, about] as const;
}

const parsed = ({
  json,
  ...who
}: {
  json: string;
  recipients: readonly string[];
  later: readonly string[];
}) => ({
  body: JSON.parse(json) as Record<string, unknown>,
  ...who,
});
const postmark = (over: Partial<EmailInput> = {}, only?: readonly string[]) =>
  parsed(postmarkBody(...mailOf(over, only), streams));
const sendgrid = (over: Partial<EmailInput> = {}, only?: readonly string[]) =>
  parsed(sendgridBody(...mailOf(over, only)));

const everything: Partial<EmailInput> = {
  to: ['Ann <ann@b.test>', { name: 'Jürgen "J" \\ Jr, x@y.test', address: 'j@mäger.ee' }],
  cc: 'carl@b.test',
  bcc: 'hidden@b.test',
  replyTo: ['reply@shop.test', 'Desk <desk@shop.test>'],
  html: '<img src="cid:logo">',
  headers: { 'X-Order': '7' },
  unsubscribeUrl: 'https://b.test/u',
  attachments: [
    { filename: 'a.txt', content: 'Grüße', contentType: 'text/plain; charset=utf-8' },
    { filename: 'b.bin', content: 'aGVs\r\nbG8=', encoding: 'base64' },
    { filename: 'l.png', content: 'AAAA', encoding: 'base64', contentType: 'image/png', cid: 'logo' },
  ],
};

const all = ['ann@b.test', 'j@xn--mger-loa.ee', 'carl@b.test', 'hidden@b.test'];

test('Postmark: every part has its field', () => {
  const { body, recipients, later } = postmark(everything);
  expect(body).toEqual({
    From: 'Shop <shop@shop.test>',
    To: 'Ann <ann@b.test>, "Jürgen \\"J\\" \\\\ Jr, x@y.test" <j@xn--mger-loa.ee>',
    Cc: 'carl@b.test',
    Bcc: 'hidden@b.test',
    ReplyTo: 'reply@shop.test, Desk <desk@shop.test>',
    Subject: 'Hello',
    HtmlBody: '<img src="cid:logo">',
    TextBody: 'Hi',
    Headers: [
      { Name: 'X-Order', Value: '7' },
      { Name: 'List-Unsubscribe', Value: '<https://b.test/u>' },
      { Name: 'List-Unsubscribe-Post', Value: 'List-Unsubscribe=One-Click' },
      { Name: 'Message-ID', Value: '<m1@shop.test>' },
      { Name: 'X-PM-KeepID', Value: 'true' },
    ],
    Attachments: [
      { Name: 'a.txt', Content: 'R3LDvMOfZQ==', ContentType: 'text/plain; charset=utf-8' },
      { Name: 'b.bin', Content: 'aGVsbG8=', ContentType: 'application/octet-stream' },
      { Name: 'l.png', Content: 'AAAA', ContentType: 'image/png', ContentID: 'cid:logo' },
    ],
    Metadata: { waybill_message: id },
    MessageStream: 'outbound',
  });
  expect([recipients, later]).toEqual([all, []]);
});

test('Postmark: a broadcast goes to its own stream', () => {
  const broadcast = { stream: 'broadcast', unsubscribeUrl: 'https://b.test/u' } as const;
  expect(postmark(broadcast).body['MessageStream']).toBe('news');
});

test('SendGrid: every part has its field, and a type has no parameters', () => {
  const { body, recipients, later } = sendgrid(everything);
  expect(body).toEqual({
    personalizations: [
      {
        to: [
          { email: 'ann@b.test', name: 'Ann' },
          { email: 'j@xn--mger-loa.ee', name: '"Jürgen \\"J\\" \\\\ Jr, x@y.test"' },
        ],
        cc: [{ email: 'carl@b.test' }],
        bcc: [{ email: 'hidden@b.test' }],
      },
    ],
    from: { email: 'shop@shop.test', name: 'Shop' },
    reply_to_list: [{ email: 'reply@shop.test' }, { email: 'desk@shop.test', name: 'Desk' }],
    subject: 'Hello',
    content: [
      { type: 'text/plain', value: 'Hi' },
      { type: 'text/html', value: '<img src="cid:logo">' },
    ],
    headers: {
      'X-Order': '7',
      'List-Unsubscribe': '<https://b.test/u>',
      'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
      'Message-ID': '<m1@shop.test>',
    },
    attachments: [
      { filename: 'a.txt', content: 'R3LDvMOfZQ==', type: 'text/plain', disposition: 'attachment' },
      { filename: 'b.bin', content: 'aGVsbG8=', disposition: 'attachment' },
      { filename: 'l.png', content: 'AAAA', type: 'image/png', disposition: 'inline', content_id: 'logo' },
    ],
    custom_args: { waybill_message: id },
  });
  expect([recipients, later]).toEqual([all, []]);
});

test.each([
  ['Doe, Ann', '"Doe, Ann"'],
  ['Ann; Bob', '"Ann; Bob"'],
  ['Ann :(', '"Ann :("'],
  ['5" disk', '"5\\" disk"'],
  ["Ann O'Neil-Müller Jr.", "Ann O'Neil-Müller Jr."],
])('SendGrid: a recipient called %s is written %s, and a sender as he is', (name, written) => {
  const somebody = { name, address: 'ann@b.test' };
  const { body } = sendgrid({ to: somebody, from: somebody, replyTo: somebody });
  expect(body).toMatchObject({
    personalizations: [{ to: [{ email: 'ann@b.test', name: written }] }],
    from: { name },
    reply_to_list: [{ name }],
  });
});

test('SendGrid: of addresses that differ in case alone, the second gets an email of its own', () => {
  const { recipients, later } = sendgrid({ to: ['Ann@b.test', 'ann@b.test'], bcc: 'ANN@b.test' });
  expect([recipients, later]).toEqual([['Ann@b.test'], ['ann@b.test', 'ANN@b.test']]);
});

test('an invitation is a file', () => {
  const content = 'BEGIN:VCALENDAR\nMETHOD:REQUEST\nEND:VCALENDAR';
  const calendar = { method: 'REQUEST', content } as const;
  expect(postmark({ calendar }).body['Attachments']).toMatchObject([
    { Name: 'invite.ics', ContentType: 'text/calendar; charset=utf-8; method=REQUEST' },
  ]);
  expect(sendgrid({ calendar }).body['attachments']).toMatchObject([
    { filename: 'invite.ics', type: 'text/calendar', disposition: 'attachment' },
  ]);
});

describe('the fields hold exactly the recipients of the handover', () => {
  const mail = {
    to: ['a@b.test', 'b@b.test', 'c@b.test'].map((address) => ({ address })),
    cc: ['d@b.test', 'e@b.test'].map((address) => ({ address })),
    bcc: ['f@b.test', 'g@b.test'].map((address) => ({ address })),
  };
  const names = (list: readonly { address: string }[]) => list.map(({ address }) => address[0]).join('');
  const fields = (recipients: string, most: { to?: number; all?: number } = {}) => {
    const given = addressees(mail, recipients.split('').map((name) => `${name}@b.test`), most); // prettier-ignore
    return (['to', 'cc', 'bcc', 'later'] as const).map((field) => names(given[field])).join('|');
  };

  test.each([
    ['abcdefg', {}, 'abc|de|fg|'],
    ['bdg', {}, 'b|d|g|'],
    ['de', {}, 'de|||'],
    ['defg', {}, 'de||fg|'],
    ['fg', {}, 'f|||g'],
    ['abcdefg', { to: 2 }, 'ab|de|fg|c'],
    ['abcdefg', { all: 2 }, 'ab|||cdefg'],
    ['abcdefg', { all: 4 }, 'abc|d||efg'],
    ['abcdefg', { all: 6 }, 'abc|de|f|g'],
    ['abcdefg', { all: 7 }, 'abc|de|fg|'],
  ])('%s, at most %o: %s', (recipients, most, expected) => {
    expect(fields(recipients, most)).toBe(expected);
  });
});

describe('a refusal, when others did not fit into the request', () => {
  const said = (provider: string, message: string, code?: string) =>
    new EmailError(message, {
      provider,
      phase: 'answered',
      status: provider === 'sendgrid' ? 400 : 422,
      code,
    });
  const inactive = said('postmark', 'HTTP 422 406: Found inactive addresses', '406');
  const invalid: readonly EmailError[] = [
    said('postmark', "HTTP 422 300: Invalid 'To' address: 'b@x'.", '300'),
    said('sendgrid', 'HTTP 400 personalizations.0.to.0.email: Does not contain a valid address.'),
    said('resend', 'HTTP 422 validation_error: Invalid `to` field.', 'validation_error'),
  ];
  const ofTheEmail: readonly EmailError[] = [
    said('postmark', "HTTP 422 300: Invalid 'From' address: 'b@x'.", '300'),
    said('postmark', 'HTTP 422 400: no sender signature', '400'),
    said('sendgrid', 'HTTP 400 subject: is required'),
    said('resend', 'HTTP 422 validation_error: Invalid `from` field.', 'validation_error'),
    said('resend', 'HTTP 429', 'rate_limit_exceeded'),
    said('ses', 'HTTP 400 BadRequestException', 'BadRequestException'),
  ];
  const [one, two, later] = [['b@x.test'], ['b@x.test', 'c@x.test'], ['d@x.test', 'e@x.test']];
  const receipt = (recipients: readonly string[], { message: error }: EmailError) => ({
    accepted: [],
    rejected: recipients.map((address) => ({ address, error })),
    later,
    response: error,
  });

  test('of all its recipients: the others are still to be tried', () => {
    expect(partlyRefused({ recipients: two, later }, inactive)).toEqual(receipt(two, inactive));
    expect(partlyRefused({ recipients: one, later }, inactive)).toEqual(receipt(one, inactive));
  });

  test.each(invalid)('of its only recipient, %s: the others are still to be tried', (error) => {
    expect(partlyRefused({ recipients: one, later }, error)).toEqual(receipt(one, error));
  });

  test.each(invalid)('of one of several, %s: nobody has the email, which an operator must see', (error) => {
    expect(partlyRefused({ recipients: two, later }, error)).toBeUndefined();
  });

  test.each(ofTheEmail)('of the email, %s: it fails', (error) => {
    expect(partlyRefused({ recipients: one, later }, error)).toBeUndefined();
  });

  test('and when all fitted, it fails', () => {
    expect(partlyRefused({ recipients: one, later: [] }, inactive)).toBeUndefined();
  });
});

test('Postmark takes fifty recipients in all fields together', () => {
  const list = (name: string, n: number) => Array.from({ length: n }, (_, i) => `${name}${i}@b.test`);
  const { recipients, later } = postmark({ to: list('a', 30), cc: list('b', 15), bcc: list('c', 10) });
  expect([recipients.length, later]).toEqual([50, list('c', 10).slice(5)]);
});

test("Postmark's inactive recipients among others are refused, and the others have the email", () => {
  const receipt = { accepted: ['ann@b.test', 'Bob@b.test', 'eve@b.test'], rejected: [], response: 'HTTP 200 1' };
  const text = 'Message OK, but will not deliver to these inactive addresses: bob@b.test, eve@b.test. Inactive recipients are ones that';
  expect(withoutInactive(receipt, text)).toEqual({
    accepted: ['ann@b.test'],
    rejected: ['Bob@b.test', 'eve@b.test'].map((address) => ({
      address,
      error: 'inactive at Postmark: an earlier hard bounce, a complaint or a suppression',
    })),
    response: 'HTTP 200 1',
  });
  expect(withoutInactive(receipt, 'OK')).toEqual(receipt);
}); // prettier-ignore
