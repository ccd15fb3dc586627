// What Resend's events mean. The payloads are those of resend.com/docs/webhooks.

import { describe, expect, test } from 'vitest';
import { parseResendReport } from '../../src/email/resend/report.ts';

const id = '01900000-0000-7000-8000-000000000001';
const reference = '56761188-7520-42d8-8898-ff6fc54ce618';

const base = {
  broadcast_id: '8b146471-e88e-4322-86af-016cd36fd216',
  created_at: '2024-11-22T23:41:11.894719+00:00',
  email_id: reference,
  from: 'Acme <onboarding@resend.dev>',
  to: ['Delivered@resend.dev'],
  subject: 'Sending this example',
};

function parse(type: string, data: object = {}) {
  const event = { type, created_at: '2024-11-22T23:41:12.126Z', data: { ...base, ...data } };
  return parseResendReport(JSON.stringify(event), 'msg_1');
}

const bounce = {
  diagnosticCode: ['smtp; 550 5.5.0 <delivered@resend.dev> unavailable'],
  message: "The recipient's mail server rejected it.",
  subType: 'General',
  type: 'Permanent',
};

test('a permanent bounce suppresses its recipient', () => {
  expect(
    parse('email.bounced', { bounce, tags: { waybill_message: id, category: 'confirm_email' } }),
  ).toEqual({
    type: 'bounced',
    reference,
    messageId: id,
    source: 'msg_1',
    recipients: ['Delivered@resend.dev'],
    detail:
      "Permanent, General: The recipient's mail server rejected it.: smtp; 550 5.5.0 <d***@resend.dev> unavailable",
    suppress: 'bounced',
  });
});

test.each([
  { ...bounce, type: 'Transient' },
  { ...bounce, type: 'Undetermined' },
  { message: 'no' },
  'no',
  null,
  undefined,
])('a bounce that does not say that it is permanent suppresses nobody: %j', (other) => {
  expect(parse('email.bounced', { bounce: other })).toMatchObject({ type: 'bounced', suppress: undefined });
});

test.each([{ tags: null }, { tags: [{}] }, { tags: 'x' }, { email_id: null }, { email_id: 'a\0b' }])(
  'a bounce with %j suppresses its recipient all the same',
  (more) => {
    expect(parse('email.bounced', { bounce, ...more })).toMatchObject({ suppress: 'bounced' });
  },
);

test('a complaint suppresses its recipient', () => {
  expect(parse('email.complained')).toMatchObject({
    type: 'complained',
    suppress: 'complained',
    detail: undefined,
  });
});

test.each<[type: string, data: object, detail: string | undefined]>([
  ['delivered', {}, undefined],
  ['delivery_delayed', {}, undefined],
  ['failed', { failed: { reason: 'reached_daily_quota' } }, 'reached_daily_quota'],
  [
    'suppressed',
    { suppressed: { message: 'on the list', type: 'OnAccountSuppressionList' } },
    'OnAccountSuppressionList: on the list',
  ],
])('email.%s is a note alone', (type, data, detail) => {
  expect(parse(`email.${type}`, data)).toMatchObject({ type, detail, suppress: undefined, reference });
});

test.each([
  'email.sent',
  'email.opened',
  'email.clicked',
  'email.received',
  'email.constructor',
  'bounced',
  'domain.updated',
  '',
])('%j means nothing here, whatever it holds', (type) => {
  expect(parseResendReport(JSON.stringify({ type }), 'msg_1')).toBeUndefined();
});

test.each<[title: string, tags: unknown, messageId: string | null]>([
  ['a list', [{ name: 'waybill_message', value: id }], id],
  ['an object', { waybill_message: id }, id],
  ['of others', { category: 'x' }, null],
  ['no id of ours', { waybill_message: "'; drop table" }, null],
  ['none', undefined, null],
])('tags: %s', (_, tags, messageId) => {
  expect(parse('email.delivered', { tags })?.messageId).toBe(messageId);
});

test('recipients: each once, in one order, and what is no address is none', () => {
  const to = ['z@b.test', 'Ann <ann@b.test>', 'ann@b.test', '"quoted"@b.test', 'nobody', ''];
  expect(parse('email.complained', { to })?.recipients).toEqual(['ann@b.test', 'z@b.test']);
});

describe('refused', () => {
  test.each(['', 'bounce', '[]', 'null', '7', '{}', '{"type":7}', '{"type":"email.bounced"}'])(
    '%j',
    (text) => {
      expect(() => parseResendReport(text, 'msg_1')).toThrow(
        expect.objectContaining({ code: 'webhook_invalid' }),
      );
    },
  );

  test.each([{ to: undefined }, { to: 'ann@b.test' }, { to: [7] }])('%j', (data) => {
    expect(() => parse('email.bounced', data)).toThrow(expect.objectContaining({ code: 'webhook_invalid' }));
  });
});
