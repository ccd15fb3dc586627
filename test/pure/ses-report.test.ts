// What the events of Amazon SES mean, and which text Amazon SNS signs. The payloads have the fields of Amazon's documentation.

import { describe, expect, test } from 'vitest';
import { parseSesReport } from '../../src/email/ses/report.ts';
import { signedText, snsUrlOf } from '../../src/webhook/sns.ts';

const id = '01900000-0000-7000-8000-000000000001';
const mail = {
  messageId: 'EXAMPLE7c191be45-e9aedb9a-02f9-4d12-a87d-dd0099a07f8a-000000',
  destination: ['ann@b.test', 'bob@b.test'],
  tags: { 'ses:configuration-set': ['emails'], waybill_message: [id] },
};

const parse = (type: string, more: object = {}) =>
  parseSesReport(JSON.stringify({ eventType: type, mail, ...more }), 'ses 1');

const complaint = (more: object) => ({
  complaint: { complainedRecipients: [{ emailAddress: 'ann@b.test' }], ...more },
});

const bounce = (bounceType: string, bounceSubType: string) => ({
  bounce: {
    bounceType,
    bounceSubType,
    feedbackId: '01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000000',
    bouncedRecipients: [
      {
        emailAddress: 'Ann@b.test',
        action: 'failed',
        status: '5.1.1',
        diagnosticCode: 'smtp; 550 5.1.1 <Ann@b.test> unknown',
      },
    ],
  },
});

describe('Amazon SES', () => {
  test('a permanent bounce suppresses its recipient, and no other of the email', () => {
    expect(parse('Bounce', bounce('Permanent', 'General'))).toEqual({
      type: 'bounced',
      reference: mail.messageId,
      messageId: id,
      source: 'ses 1',
      recipients: ['Ann@b.test'],
      detail: 'Permanent: General: smtp; 550 5.1.1 <A***@b.test> unknown',
      suppress: 'bounced',
    });
  });

  test.each([
    ['Bounce', bounce('Transient', 'MailboxFull'), 'bounced', undefined],
    ['Bounce', bounce('Undetermined', 'Undetermined'), 'bounced', undefined],
    ['Bounce', bounce('Permanent', 'Suppressed'), 'suppressed', undefined],
    ['Bounce', bounce('Permanent', 'OnAccountSuppressionList'), 'suppressed', undefined],
    ['Complaint', { complaint: { complainedRecipients: [{ emailAddress: 'ann@b.test' }] } }, 'complained', 'complained'],
    ['Complaint', complaint({ complaintFeedbackType: 'abuse' }), 'complained', 'complained'],
    ['Complaint', complaint({ complaintSubType: 'OnAccountSuppressionList' }), 'suppressed', undefined],
    ['Delivery', { delivery: { recipients: ['ann@b.test'], smtpResponse: '250 ok' } }, 'delivered', undefined],
    ['DeliveryDelay', { deliveryDelay: { delayType: 'MailboxFull', delayedRecipients: [{ emailAddress: 'ann@b.test' }] } }, 'delivery_delayed', undefined],
    ['Reject', { reject: { reason: 'Bad content' } }, 'failed', undefined],
  ])('%s %j: %s', (type, more, noted, suppress) => {
    expect(parse(type, more)).toMatchObject({ type: noted, suppress });
  }); // prettier-ignore

  test('a notification of an identity has no tags: the reference finds the message', () => {
    const text = {
      notificationType: 'Bounce',
      mail: { messageId: 'm-1' },
      ...bounce('Permanent', 'General'),
    };
    expect(parseSesReport(JSON.stringify(text), 'ses 1')).toMatchObject({
      type: 'bounced',
      reference: 'm-1',
      messageId: null,
      suppress: 'bounced',
    });
  });

  test.each(['Send', 'Open', 'Click', 'Rendering Failure', 'Subscription', 'AmazonSnsSubscriptionSucceeded', 'constructor'])(
    '%s is ignored',
    (type) => expect(parse(type)).toBeUndefined(),
  ); // prettier-ignore

  test('a complaint that is taken back is ignored', () => {
    expect(parse('Complaint', complaint({ complaintFeedbackType: 'not-spam' }))).toBeUndefined();
  });

  test('a bounce without its type, a subtype or the id of SES is noted all the same', () => {
    const text = { eventType: 'Bounce', mail: { tags: mail.tags }, bounce: { bouncedRecipients: [{}] } };
    expect(parseSesReport(JSON.stringify(text), 'ses 1')).toMatchObject({
      type: 'bounced',
      reference: null,
      messageId: id,
      recipients: [],
      suppress: undefined,
    });
  });

  test('the text with which SES tests a topic is ignored', () => {
    const text = 'Successfully validated SNS topic for Amazon SES event publishing.';
    expect(parseSesReport(text, 'ses 1')).toBeUndefined();
  });

  test.each(['x', '[]', '{}', '{"eventType":7}', '{"eventType":"Bounce"}', '{"eventType":"Bounce","mail":7}'])(
    '%s is refused',
    (text) => {
      const invalid = expect.objectContaining({ code: 'webhook_invalid' }) as Error;
      expect(() => parseSesReport(text, 'ses 1')).toThrow(invalid);
    },
  ); // prettier-ignore
});

describe('Amazon SNS', () => {
  const said = {
    MessageId: 'm',
    TopicArn: 't',
    Message: 'two\nlines',
    Timestamp: '2026-11-30T12:00:00.000Z',
    SignatureVersion: '1',
    SigningCertURL: 'https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem',
  } as const;

  test('signs a notification with its subject, if it has one', () => {
    const text = 'Message\ntwo\nlines\nMessageId\nm\nTimestamp\n2026-11-30T12:00:00.000Z\nTopicArn\nt\nType\nNotification\n'; // prettier-ignore
    expect(signedText({ ...said, Type: 'Notification', Token: 'not signed' })).toBe(text);
    const withSubject = text.replace('Timestamp', 'Subject\ns\nTimestamp');
    expect(signedText({ ...said, Type: 'Notification', Subject: 's' })).toBe(withSubject);
  });

  test('signs a confirmation with its token and address', () => {
    const text = 'Message\ntwo\nlines\nMessageId\nm\nSubscribeURL\nu\nTimestamp\n2026-11-30T12:00:00.000Z\nToken\nk\nTopicArn\nt\nType\n'; // prettier-ignore
    const of = { ...said, SubscribeURL: 'u', Token: 'k', Subject: 'not signed' };
    for (const Type of ['SubscriptionConfirmation', 'UnsubscribeConfirmation'] as const)
      expect(signedText({ ...of, Type })).toBe(`${text}${Type}\n`);
  });

  test.each([
    ['arn:aws:sns:eu-west-1:123456789012:emails', 'https://sns.eu-west-1.amazonaws.com'],
    ['arn:aws-us-gov:sns:us-gov-west-1:123456789012:emails', 'https://sns.us-gov-west-1.amazonaws.com'],
    ['arn:aws-cn:sns:cn-north-1:123456789012:emails', 'https://sns.cn-north-1.amazonaws.com.cn'],
  ])('is asked in the region of %s', (arn, url) => expect(snsUrlOf(arn)).toBe(url));
});
