// Reports of Amazon SES over a topic of Amazon SNS, on a real Postgres and with a stand-in of SNS: the subscription, notes on the timeline, the
// suppression list, and what is not believed.

import { afterAll, beforeAll, expect, it, test } from 'vitest';
import { defineApp } from '../../src/define/app.ts';
import { listSuppressions } from '../../src/email/suppression.ts';
import { showMessage } from '../../src/operate/read.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { startSns, topic, type Post, type Sns } from '../support/sns.ts';
import { testWeb, type TestWeb } from '../support/web.ts';

let database: TestDatabase;
let sns: Sns;
let web: TestWeb;
beforeAll(async () => {
  [database, sns] = await Promise.all([testDatabase(), startSns()]);
  web = openWeb();
});
afterAll(async () => {
  await web.end();
  await sns.end();
  await database.end();
});

const openWeb = (env: Record<string, string> = {}): TestWeb =>
  testWeb(defineApp({}), database.url, {
    SES_TOPIC_ARN: topic,
    AWS_ENDPOINT_URL_SNS: sns.baseUrl,
    ...env,
  });

/** As SNS posts: JSON that says it is text. */
async function send(post: Post | string, to = web) {
  const response = await to.server.inject({
    method: 'POST',
    url: '/webhooks/ses',
    headers: { 'content-type': 'text/plain; charset=UTF-8', 'x-amz-sns-message-type': 'Notification' },
    payload: typeof post === 'string' ? post : JSON.stringify(post),
  });
  return { ...response.json<Record<string, unknown>>(), status: response.statusCode };
}

async function enqueue(): Promise<string> {
  const outbox = createPostgresOutbox(database.db);
  return (await outbox.enqueue({ kind: 'email', name: 'email', queue: 'email', payload: {} })).id;
}

const bounceOf = (id: string, emailAddress: string): string =>
  JSON.stringify({
    eventType: 'Bounce',
    bounce: { bounceType: 'Permanent', bounceSubType: 'General', bouncedRecipients: [{ emailAddress }] },
    mail: { messageId: '0102-1', tags: { waybill_message: [id] } },
  });

const complaintOf = (id: string, emailAddress: string): string =>
  JSON.stringify({
    eventType: 'Complaint',
    complaint: { complaintFeedbackType: 'abuse', complainedRecipients: [{ emailAddress }] },
    mail: { messageId: '0102-1', tags: { waybill_message: [id] } },
  });

const notesOf = async (id: string) =>
  (await showMessage(database.db, id)).notes.map(({ type, recipient }) => [type, recipient]);
const reasonOf = async (address: string) =>
  (await listSuppressions(database.db)).suppressions.find((one) => one.address === address)?.reason;

test.each(['1', '2'] as const)('a bounce and a complaint are on the timeline, once, with signatures of version %s', async (version) => {
  const id = await enqueue();
  const [gone, angry] = [`gone-${version}@b.test`, `angry-${version}@b.test`];
  const bounce = sns.post({ Message: bounceOf(id, gone), Subject: 'Amazon SES Email Event Notification' }, version);
  expect(await send(bounce)).toEqual({ status: 200, noted: true });
  expect(await send(bounce)).toEqual({ status: 200, noted: false });
  expect(await send(sns.post({ Message: complaintOf(id, angry) }, version))).toEqual({ status: 200, noted: true });
  expect(await notesOf(id)).toEqual([['bounced', gone], ['complained', angry]]);
  expect([await reasonOf(gone), await reasonOf(angry)]).toEqual(['bounced', 'complained']);
  expect(sns.asked()).toBe(1);
}); // prettier-ignore

const subscription = (token: string, url = `${sns.baseUrl}/?Action=ConfirmSubscription&Token=${token}`) => ({
  Type: 'SubscriptionConfirmation',
  Message: 'You have chosen to subscribe',
  Token: token,
  SubscribeURL: url,
});

it('confirms the subscription to its topic, and to no other', async () => {
  expect(await send(sns.post(subscription('a1')))).toEqual({ status: 200, noted: false });
  expect(sns.confirmed()).toEqual(['a1']);
  const other = sns.post({ ...subscription('b2'), TopicArn: `${topic}-of-another` });
  expect(await send(other)).toMatchObject({ status: 401, code: 'webhook_signature_invalid' });
  const elsewhere = sns.post(subscription('c3', 'http://127.0.0.1:9/?Action=ConfirmSubscription&Token=c3'));
  expect(await send(elsewhere)).toMatchObject({ status: 400, code: 'webhook_invalid' });
  expect(sns.confirmed()).toEqual(['a1']);
});

it('says nothing to a subscription that ended', async () => {
  const ended = { ...subscription('d4'), Type: 'UnsubscribeConfirmation' };
  expect(await send(sns.post(ended))).toEqual({ status: 200, noted: false });
  expect(sns.confirmed()).not.toContain('d4');
});

test.each([
  ['a changed message', (post: Post) => ({ ...post, Message: post['Message']!.replace('Permanent', 'Transient') })],
  ['an added subject', (post: Post) => ({ ...post, Subject: 'x' })],
  ['no signature', (post: Post) => ({ ...post, Signature: '' })],
  ['the other version', (post: Post) => ({ ...post, SignatureVersion: '2' })],
  ['an unknown version', (post: Post) => ({ ...post, SignatureVersion: '3' })],
  ['a certificate of another host', (post: Post) => ({ ...post, SigningCertURL: post['SigningCertURL']!.replace('127.0.0.1', 'localhost') })],
  ['a certificate at another path', (post: Post) => ({ ...post, SigningCertURL: `${sns.baseUrl}/x/SimpleNotificationService-01.pem` })],
  ['a certificate that does not exist', (post: Post) => ({ ...post, SigningCertURL: `${sns.baseUrl}/SimpleNotificationService-01.pem` })],
  ['a certificate behind a user', (post: Post) => ({ ...post, SigningCertURL: post['SigningCertURL']!.replace('http://', 'http://u@') })],
  ['a certificate with a query', (post: Post) => ({ ...post, SigningCertURL: `${post['SigningCertURL']}?a=1` })],
  ['a certificate with an empty query', (post: Post) => ({ ...post, SigningCertURL: `${post['SigningCertURL']}?` })],
  ['a certificate with a fragment', (post: Post) => ({ ...post, SigningCertURL: `${post['SigningCertURL']}#a` })],
  ['no address of a certificate', (post: Post) => ({ ...post, SigningCertURL: 'x' })],
  ['raw delivery', (post: Post) => post['Message']!],
  ['no JSON', () => 'x'],
])('%s is not believed', async (_, forge) => {
  const id = await enqueue();
  const post = sns.post({ Message: bounceOf(id, 'innocent@b.test') });
  expect(await send(forge(post))).toMatchObject({ status: 401, code: 'webhook_signature_invalid' });
  expect([await notesOf(id), await reasonOf('innocent@b.test')]).toEqual([[], undefined]);
}); // prettier-ignore

it('does not fetch again for the same unproven address', async () => {
  const fresh = openWeb();
  const post = sns.post({ Message: bounceOf(await enqueue(), 'a@b.test') });
  const before = sns.asked();
  try {
    const absent = { ...post, SigningCertURL: `${sns.baseUrl}/SimpleNotificationService-02.pem` };
    await Promise.all([send(absent, fresh), send(absent, fresh)]);
    await send(absent, fresh);
    expect(sns.asked() - before).toBe(1);
    await send({ ...post, Message: 'forged' }, fresh);
    await send({ ...post, Message: 'forged', SigningCertURL: post['SigningCertURL']!.replace('/Simple', '/x/../Simple') }, fresh);
    expect(sns.asked() - before).toBe(2);
    expect(await send(post, fresh)).toEqual({ status: 200, noted: true });
    expect(sns.asked() - before).toBe(2);
  } finally {
    await fresh.end();
  }
}); // prettier-ignore

test.each([-3, 3])('a post of %d hours from now is not believed', async (hours) => {
  const Timestamp = new Date(Date.now() + hours * 3_600_000).toISOString();
  const post = sns.post({ Message: bounceOf(await enqueue(), 'a@b.test'), Timestamp });
  expect(await send(post)).toMatchObject({ status: 401, code: 'webhook_signature_invalid' });
});

it('asks for the report again while Amazon cannot be asked', async () => {
  const id = await enqueue();
  const post = sns.post({ Message: bounceOf(id, 'late@b.test') });
  const fresh = openWeb(); // does not know the certificate
  sns.fail(503);
  try {
    const answer = await send(post, fresh);
    expect(answer).toMatchObject({ status: 503, code: 'webhook_sender_unreachable' });
    expect(await send(sns.post(subscription('e5')))).toMatchObject({ status: 503 });
    sns.fail(undefined);
    expect(await send(post, fresh)).toEqual({ status: 200, noted: true });
  } finally {
    sns.fail(undefined);
    await fresh.end();
  }
});

it('is closed without a topic, and says what opens it', async () => {
  const closed = testWeb(defineApp({}), database.url);
  try {
    const answer = await send(sns.post({ Message: '{}' }), closed);
    expect(answer).toMatchObject({ status: 503, code: 'webhook_closed', detail: expect.stringContaining('SES_TOPIC_ARN') as string }); // prettier-ignore
  } finally {
    await closed.end();
  }
});

it('says what is wrong with a signed post that has no event of SES', async () => {
  const answer = await send(sns.post({ Message: '{"eventType":"Bounce"}' }));
  expect(answer).toMatchObject({ status: 400, code: 'webhook_invalid', errors: [{ path: 'mail' }] });
});
