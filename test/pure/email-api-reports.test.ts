// What the events of Postmark, SendGrid and Mailgun mean, and how requests prove where they come from. The payloads have the fields of the
// providers' documentation, the proofs are made here with Node's crypto.

import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseMailgunReport } from '../../src/email/mailgun/report.ts';
import { parsePostmarkReport } from '../../src/email/postmark/report.ts';
import { parseSendgridReports } from '../../src/email/sendgrid/report.ts';
import { isFromMailgun, isFromPostmark, isFromSendgrid } from '../../src/webhook/provider.ts';

const id = '01900000-0000-7000-8000-000000000001';

const reference = '883953f4-6105-42a2-a16a-77a8eac79483';
const postmark = (RecordType: string, more: object = {}) =>
  parsePostmarkReport(
    JSON.stringify({
      RecordType,
      MessageID: reference,
      MessageStream: 'outbound',
      Metadata: { waybill_message: id },
      ...more,
    }),
  );
const bounced = { ID: 692560173, Email: 'Gone@b.test', Details: 'smtp;550 5.1.1 <Gone@b.test> unknown' };

describe('Postmark', () => {
  test('a hard bounce suppresses its recipient', () => {
    expect(postmark('Bounce', { ...bounced, Type: 'HardBounce', Description: 'unknown user' })).toEqual({
      type: 'bounced',
      reference,
      messageId: id,
      source: `postmark Bounce ${reference} 692560173`,
      recipients: ['Gone@b.test'],
      detail: 'HardBounce: unknown user: smtp;550 5.1.1 <G***@b.test> unknown',
      suppress: 'bounced',
    });
  });

  test.each([
    ['Bounce', { ...bounced, Type: 'BadEmailAddress' }, 'bounced', 'bounced'],
    ['Bounce', { ...bounced, Type: 'SoftBounce' }, 'bounced', undefined],
    ['Bounce', { ...bounced, Type: 7 }, 'bounced', undefined],
    ['SpamComplaint', { ...bounced, Type: 'SpamComplaint' }, 'complained', 'complained'],
    ['Delivery', { Recipient: 'ann@b.test', Details: 'OK' }, 'delivered', undefined],
    ['SubscriptionChange', { Recipient: 'ann@b.test', SuppressSending: true }, 'suppressed', undefined],
  ])('%s %j: %s', (type, more, noted, suppress) => {
    expect(postmark(type, more)).toMatchObject({ type: noted, suppress });
  });

  test.each([
    ['Open', {}],
    ['Click', {}],
    ['SubscriptionChange', { Recipient: 'ann@b.test', SuppressSending: false }],
  ])('%s is ignored', (type, more) => expect(postmark(type, more)).toBeUndefined());

  test('an ID beyond the integers of JavaScript is kept as it is written', () => {
    const text = JSON.stringify({ RecordType: 'Bounce', MessageID: 'm', Type: 'HardBounce', Email: 'a@b.test' });
    const withId = text.replace('{', '{"ID":4323372036854775807,');
    expect(parsePostmarkReport(withId)).toMatchObject({ source: 'postmark Bounce m 4323372036854775807', suppress: 'bounced' });
  }); // prettier-ignore

  test.each([
    ['Bounce', { ...bounced, ID: null }, `postmark Bounce ${reference} Gone@b.test`],
    ['Bounce', { ...bounced, ID: 1.5 }, `postmark Bounce ${reference} Gone@b.test`],
    ['Bounce', { ...bounced, MessageID: null }, `postmark Bounce ${id} 692560173`],
    ['Bounce', { ...bounced, Email: null, Recipient: 'Gone@b.test' }, `postmark Bounce ${reference} 692560173`],
    ['SubscriptionChange', { MessageID: null, Metadata: null, Recipient: 'Gone@b.test', SuppressSending: true }, 'postmark SubscriptionChange - Gone@b.test'],
  ])('%s %j: the source is %s', (type, more, source) => {
    expect(postmark(type, more)).toMatchObject({ source, recipients: ['Gone@b.test'] });
  }); // prettier-ignore

  test('without metadata the reference finds the message', () => {
    expect(postmark('Delivery', { Metadata: null, Recipient: 'ann@b.test' })?.messageId).toBeNull();
  });
});

const sendgrid = (...events: object[]) =>
  parseSendgridReports(
    JSON.stringify(
      events.map((event, i) => ({
        email: 'ann@b.test',
        timestamp: 1513299569,
        sg_event_id: `event-${i}`,
        sg_message_id: '14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0',
        waybill_message: id,
        ...event,
      })),
    ),
  );

describe('SendGrid', () => {
  test('a bounce suppresses its recipient, a block does not', () => {
    const [hard, block] = sendgrid(
      { event: 'bounce', type: 'bounce', status: '5.1.1', reason: '550 <ann@b.test> unknown' },
      { event: 'bounce', type: 'blocked', status: '4.7.1' },
    );
    expect(hard).toEqual({
      type: 'bounced',
      reference: '14c5d75ce93',
      messageId: id,
      source: 'event-0',
      recipients: ['ann@b.test'],
      detail: 'bounce: 5.1.1: 550 <a***@b.test> unknown',
      suppress: 'bounced',
    });
    expect(block).toMatchObject({ type: 'bounced', suppress: undefined });
  });

  test('the other events of one request', () => {
    const kinds = ['delivered', 'deferred', 'dropped', 'spamreport', 'processed', 'open', 'click'];
    const reports = sendgrid(...kinds.map((event) => ({ event })));
    expect(reports.map(({ type, suppress }) => [type, suppress])).toEqual([
      ['delivered', undefined],
      ['delivery_delayed', undefined],
      ['suppressed', undefined],
      ['complained', 'complained'],
    ]);
  });

  test('an event without its ids counts all the same', () => {
    const [withoutOwn, withoutReference] = sendgrid({ event: 'bounce', sg_event_id: null }, { event: 'spamreport', sg_message_id: 7 });
    expect(withoutOwn).toMatchObject({ source: 'sendgrid bounce 14c5d75ce93 ann@b.test 1513299569', suppress: 'bounced' });
    expect(withoutReference).toMatchObject({ source: 'event-1', reference: null, messageId: id, suppress: 'complained' });
  }); // prettier-ignore
});

const mailgun = (event: string, more: object = {}) =>
  parseMailgunReport(
    JSON.stringify({
      signature: {},
      'event-data': {
        event,
        id: 'G9Bn5sl1TC6nu79C8C0bwg',
        recipient: 'ann@b.test',
        message: { headers: { 'message-id': '20130503182626.18666.16540@mg.shop.test' } },
        'user-variables': { waybill_message: id },
        ...more,
      },
    }),
  );

describe('Mailgun', () => {
  test('a permanent failure for a bounce suppresses its recipient', () => {
    const status = { code: 605, message: '', description: 'Not delivering to <ann@b.test>' };
    const more = { severity: 'permanent', reason: 'bounce', 'delivery-status': status };
    expect(mailgun('failed', more)).toEqual({
      type: 'bounced',
      reference: '20130503182626.18666.16540@mg.shop.test',
      messageId: id,
      source: 'mailgun G9Bn5sl1TC6nu79C8C0bwg',
      recipients: ['ann@b.test'],
      detail: 'permanent: bounce: 605: Not delivering to <a***@b.test>',
      suppress: 'bounced',
    });
  });

  test.each([
    ['failed', { severity: 'permanent', reason: 'generic' }, 'bounced', undefined],
    ['failed', { severity: 'permanent', reason: 'suppress-bounce' }, 'suppressed', undefined],
    ['failed', { severity: 'temporary', reason: 'generic' }, 'delivery_delayed', undefined],
    ['complained', {}, 'complained', 'complained'],
    ['delivered', {}, 'delivered', undefined],
  ])('%s %j: %s', (event, more, type, suppress) => {
    expect(mailgun(event, more)).toMatchObject({ type, suppress });
  });

  test('an event without its id or its headers counts all the same', () => {
    expect(mailgun('complained', { id: null, message: { headers: {} } })).toMatchObject({
      source: `mailgun complained - ${id} ann@b.test`,
      reference: null,
      suppress: 'complained',
    });
  });

  test.each(['opened', 'clicked', 'accepted', 'unsubscribed'])('%s is ignored', (event) =>
    expect(mailgun(event)).toBeUndefined(),
  );
});

test.each(['', 'no json', '[{"event":7}]', '{}', '7', 'null'])('%j is no event of any', (text) => {
  const invalid = expect.objectContaining({ code: 'webhook_invalid' }) as Error;
  for (const parse of [parsePostmarkReport, parseSendgridReports, parseMailgunReport])
    expect(() => parse(text)).toThrow(invalid);
});

const now = Date.parse('2026-01-01T00:00:00Z');
const seconds = (delta = 0) => String(now / 1_000 + delta);

describe('where a request comes from', () => {
  test('Postmark: the user and the password', () => {
    const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
    expect(isFromPostmark(basic('hook:secret'), 'hook:secret')).toBe(true);
    for (const headers of [basic('hook:secre'), basic('hook:secret2'), basic(''), { authorization: 'Basic' }, {}])
      expect(isFromPostmark(headers, 'hook:secret')).toBe(false);
  }); // prettier-ignore

  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const other = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const key = publicKey.export({ format: 'der', type: 'spki' }).toString('base64');
  const signed = (time: string, body: string, by = privateKey) => ({
    'x-twilio-email-event-webhook-timestamp': time,
    'x-twilio-email-event-webhook-signature': sign('sha256', Buffer.from(time + body), by).toString('base64'),
  });
  const isSendgrid = (headers: object, body = '[]') =>
    isFromSendgrid(Buffer.from(body), headers as never, key, now);

  test('SendGrid: an ECDSA signature of the time and the body', () => {
    expect(isSendgrid(signed(seconds(), '[]'))).toBe(true);
    expect(isSendgrid(signed(seconds(-800), '[]'))).toBe(true);
    expect(isSendgrid(signed(seconds(-1_000), '[]'))).toBe(false);
    expect(isSendgrid(signed(seconds(1_000), '[]'))).toBe(false);
    expect(isSendgrid(signed(seconds(), '[]'), '[ ]')).toBe(false);
    expect(isSendgrid(signed(seconds(), '[]', other.privateKey))).toBe(false);
    expect(isSendgrid({ ...signed(seconds(), '[]'), 'x-twilio-email-event-webhook-timestamp': seconds(1) })).toBe(false);
    expect(isSendgrid({})).toBe(false);
  }); // prettier-ignore

  test('Mailgun: an HMAC of the time and a token', () => {
    const proof = (timestamp: string, token = 'token', signingKey = 'key') => ({
      timestamp,
      token,
      signature: createHmac('sha256', signingKey)
        .update(timestamp + token)
        .digest('hex'),
    });
    expect(isFromMailgun(proof(seconds()), 'key', now)).toBe(true);
    for (const wrong of [
      proof(seconds(-1_000)),
      proof('soon'),
      proof(seconds(), 'token', 'other'),
      { ...proof(seconds()), token: 'other' },
      { ...proof(seconds()), signature: '' },
    ])
      expect(isFromMailgun(wrong, 'key', now)).toBe(false);
  });
});
