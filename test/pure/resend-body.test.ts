// What Resend is asked to send, without asking it.

import { describe, expect, test } from 'vitest';
import { prepareEmail, type EmailInput } from '../../src/email/email.ts';
import { resendBody } from '../../src/email/resend/body.ts';

const input: EmailInput = { from: 'Shop <shop@shop.test>', to: 'ann@b.test', subject: 'Hello', text: 'Hi' };

function bodyOf(over: Partial<EmailInput> = {}, only?: readonly string[]) {
  const email = prepareEmail({ ...input, ...over }, { defaultFrom: null });
  const everybody = [...email.to, ...(email.cc ?? []), ...(email.bcc ?? [])].map(({ address }) => address);
  const { json, ...who } = resendBody(email, {
    messageId: '<m1@shop.test>',
    idempotencyKey: '01900000-0000-7000-8000-000000000001',
    date: new Date('2026-01-01T00:00:00Z'),
    recipients: only ?? everybody,
  });
  return { json, ...who, body: JSON.parse(json) as Record<string, unknown> };
}

test('every part has its field', () => {
  const { body, recipients, later } = bodyOf({
    to: ['Ann <ann@b.test>', { name: 'Jürgen "J" \\ Jr, x@y.test', address: 'j@mäger.ee' }],
    cc: 'carl@b.test',
    bcc: 'hidden@b.test',
    replyTo: 'reply@shop.test',
    html: '<p>Tea</p>',
    headers: { 'X-Order': '7' },
    unsubscribeUrl: 'https://b.test/u',
    attachments: [
      { filename: 'a.txt', content: 'Grüße', contentType: 'text/plain' },
      { filename: 'b.bin', content: 'aGVs\r\nbG8=', encoding: 'base64' },
    ],
  });
  expect(body).toEqual({
    from: 'Shop <shop@shop.test>',
    to: ['Ann <ann@b.test>', '"Jürgen \\"J\\" \\\\ Jr, x@y.test" <j@xn--mger-loa.ee>'],
    cc: ['carl@b.test'],
    bcc: ['hidden@b.test'],
    reply_to: ['reply@shop.test'],
    subject: 'Hello',
    html: '<p>Tea</p>',
    text: 'Hi',
    headers: {
      'X-Order': '7',
      'List-Unsubscribe': '<https://b.test/u>',
      'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
      'Message-ID': '<m1@shop.test>',
    },
    attachments: [
      { filename: 'a.txt', content: 'R3LDvMOfZQ==', content_type: 'text/plain' },
      { filename: 'b.bin', content: 'aGVsbG8=' },
    ],
    tags: [{ name: 'waybill_message', value: '01900000-0000-7000-8000-000000000001' }],
  });
  expect(recipients).toEqual(['ann@b.test', 'j@xn--mger-loa.ee', 'carl@b.test', 'hidden@b.test']);
  expect(later).toEqual([]);
});

test('images of the html have their content id, and an invitation is a file that says what it is', () => {
  const content = 'BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR';
  const { body } = bodyOf({
    html: '<img src="cid:logo">',
    attachments: [
      { filename: 'logo.png', content: 'aGk=', encoding: 'base64', contentType: 'image/png', cid: 'logo' },
    ],
    calendar: { method: 'REQUEST', content },
  });
  expect(body['attachments']).toEqual([
    { filename: 'logo.png', content: 'aGk=', content_type: 'image/png', content_id: 'logo' },
    {
      filename: 'invite.ics',
      content: Buffer.from(content).toString('base64'),
      content_type: 'text/calendar; charset=utf-8; method=REQUEST',
    },
  ]);
});

test('D: every attempt asks for the same bytes', () => {
  const email = { cc: 'carl@b.test', html: '<p>Tea</p>', attachments: [{ filename: 'a', content: 'a' }] };
  expect(bodyOf(email).json).toBe(bodyOf(email).json);
});

describe('it goes to those of the handover alone', () => {
  const email = { to: ['a@b.test', 'b@b.test'], cc: ['c@b.test', 'd@b.test'], bcc: ['e@b.test', 'f@b.test'] };

  test.each([
    [['a@b.test', 'd@b.test', 'f@b.test'], { to: ['a@b.test'], cc: ['d@b.test'], bcc: ['f@b.test'] }],
    [['b@b.test'], { to: ['b@b.test'] }],
    [['c@b.test', 'e@b.test', 'f@b.test'], { to: ['c@b.test'], bcc: ['e@b.test', 'f@b.test'] }],
    [['f@b.test'], { to: ['f@b.test'] }],
  ])('%j', (only, expected) => {
    const { body, recipients, later } = bodyOf(email, only);
    const { to, cc, bcc } = body;
    expect({ to, cc, bcc }).toEqual({ cc: undefined, bcc: undefined, ...expected });
    expect([recipients, later]).toEqual([only, []]);
  });

  test('of several hidden recipients without another, none sees a second one', () => {
    const { body, recipients, later } = bodyOf(email, ['e@b.test', 'f@b.test']);
    expect([body['to'], body['bcc']]).toEqual([['e@b.test'], undefined]);
    expect([recipients, later]).toEqual([['e@b.test'], ['f@b.test']]);
  });

  test('of more than Resend takes in `to`, the rest comes later', () => {
    const to = Array.from({ length: 60 }, (_, i) => `a${i}@b.test`);
    const { recipients, later } = bodyOf({ to, bcc: 'z@b.test' });
    expect(recipients).toEqual([...to.slice(0, 50), 'z@b.test']);
    expect(later).toEqual(to.slice(50));
  });
});
