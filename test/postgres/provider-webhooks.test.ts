// Reports of Postmark, SendGrid and Mailgun over the routes of web, on a real Postgres: notes on the timeline, the suppression list, and what
// is not believed. The proofs are made here with Node's crypto.

import { createHmac, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { afterAll, beforeAll, expect, it, test } from 'vitest';
import { defineApp } from '../../src/define/app.ts';
import { listSuppressions } from '../../src/email/suppression.ts';
import { showMessage } from '../../src/operate/read.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testWeb, type TestWeb } from '../support/web.ts';

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const credentials = 'hook:geheim-geheim';
const signingKey = '0123456789abcdef0123456789abcdef';

let database: TestDatabase;
let web: TestWeb;
let closed: TestWeb;
beforeAll(async () => {
  database = await testDatabase();
  web = testWeb(defineApp({}), database.url, {
    POSTMARK_WEBHOOK_CREDENTIALS: credentials,
    SENDGRID_WEBHOOK_KEY: publicKey.export({ format: 'der', type: 'spki' }).toString('base64'),
    MAILGUN_WEBHOOK_SIGNING_KEY: signingKey,
  });
  closed = testWeb(defineApp({}), database.url);
});
afterAll(async () => {
  await web.end();
  await closed.end();
  await database.end();
});

const seconds = (): string => String(Math.floor(Date.now() / 1_000));

type Sent = { readonly payload: string; readonly headers: Record<string, string> };
type Told = { readonly id: string; readonly recipient: string; readonly event: string };

const senders = {
  postmark({ id, recipient, event }: Told): Sent {
    const payload = JSON.stringify({
      RecordType: event,
      Type: 'HardBounce',
      MessageID: `reference of ${event}`.replaceAll(' ', '-'),
      ID: 7,
      Email: recipient,
      Metadata: { waybill_message: id },
    });
    const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
    return { payload, headers: { 'content-type': 'application/json', authorization } };
  },
  sendgrid({ id, recipient, event }: Told): Sent {
    const open = { event: 'open', email: recipient, sg_event_id: 'o', sg_message_id: 'm' };
    const told = { event, type: 'bounce', email: recipient, sg_event_id: `${id} ${event}`.replaceAll(' ', '-'), sg_message_id: 'm.1', waybill_message: id };
    const payload = JSON.stringify([open, told]);
    const time = seconds();
    const signature = sign('sha256', Buffer.from(time + payload), privateKey).toString('base64');
    return {
      payload,
      headers: {
        'content-type': 'application/json',
        'x-twilio-email-event-webhook-timestamp': time,
        'x-twilio-email-event-webhook-signature': signature,
      },
    };
  }, // prettier-ignore
  mailgun({ id, recipient, event }: Told): Sent {
    const timestamp = seconds();
    const token = randomUUID();
    const signature = createHmac('sha256', signingKey)
      .update(timestamp + token)
      .digest('hex');
    const data = {
      event,
      id: `${id}-${event}`,
      severity: 'permanent',
      reason: 'bounce',
      recipient,
      message: { headers: { 'message-id': 'm@mg.shop.test' } },
      'user-variables': { waybill_message: id },
    };
    const payload = JSON.stringify({ signature: { timestamp, token, signature }, 'event-data': data });
    return { payload, headers: { 'content-type': 'application/json' } };
  },
} as const;

type Name = keyof typeof senders;

const cases: readonly [name: Name, bounce: string, complaint: string, variable: string][] = [
  ['postmark', 'Bounce', 'SpamComplaint', 'POSTMARK_WEBHOOK_CREDENTIALS'],
  ['sendgrid', 'bounce', 'spamreport', 'SENDGRID_WEBHOOK_KEY'],
  ['mailgun', 'failed', 'complained', 'MAILGUN_WEBHOOK_SIGNING_KEY'],
];

async function post(name: Name, sent: Sent, to = web) {
  const response = await to.server.inject({ method: 'POST', url: `/webhooks/${name}`, ...sent });
  return { ...response.json<Record<string, unknown>>(), status: response.statusCode };
}

async function enqueue(): Promise<string> {
  const outbox = createPostgresOutbox(database.db);
  return (await outbox.enqueue({ kind: 'email', name: 'email', queue: 'email', payload: {} })).id;
}

const notesOf = async (id: string) =>
  (await showMessage(database.db, id)).notes.map(({ type, recipient }) => [type, recipient]);
const reasonOf = async (address: string) =>
  (await listSuppressions(database.db)).suppressions.find((one) => one.address === address)?.reason;

test.each(cases)('%s: a bounce and a complaint are on the timeline, once, and nothing goes there any more', async (name, bounce, complaint) => {
  const id = await enqueue();
  const [gone, angry] = [`gone-${name}@b.test`, `angry-${name}@b.test`];
  const report = { id, recipient: gone, event: bounce };
  expect(await post(name, senders[name](report))).toEqual({ status: 200, noted: true });
  expect(await post(name, senders[name](report))).toEqual({ status: 200, noted: false });
  expect(await post(name, senders[name]({ id, recipient: angry, event: complaint }))).toEqual({ status: 200, noted: true });
  expect(await notesOf(id)).toEqual([
    ['bounced', gone],
    ['complained', angry],
  ]);
  expect([await reasonOf(gone), await reasonOf(angry)]).toEqual(['bounced', 'complained']);
}); // prettier-ignore

test.each(cases)('%s: what does not prove where it comes from is not believed', async (name, bounce) => {
  const id = await enqueue();
  const recipient = `innocent-${name}@b.test`;
  const { payload, headers } = senders[name]({ id, recipient, event: bounce });
  const forged: Sent =
    name === 'mailgun'
      ? { payload: payload.replace(/"signature":"[0-9a-f]/, '"signature":"x'), headers }
      : { payload, headers: { 'content-type': 'application/json' } };
  const answer = await post(name, forged);
  expect(answer).toMatchObject({ status: 401, code: 'webhook_signature_invalid' });
  expect(JSON.stringify(answer)).not.toMatch(/geheim|0123456789abcdef/);
  expect([await notesOf(id), await reasonOf(recipient)]).toEqual([[], undefined]);
});

test.each(cases)('%s: a route without its variable is closed, and says which opens it', async (name, bounce, _, variable) => {
  const sent = senders[name]({ id: randomUUID(), recipient: 'a@b.test', event: bounce });
  const answer = await post(name, sent, closed);
  expect(answer).toMatchObject({ status: 503, code: 'webhook_closed', detail: expect.stringContaining(variable) as string });
}); // prettier-ignore

it('takes many reports of SendGrid in one request, and refuses more than a megabyte', async () => {
  const large = (size: number): Sent => {
    const payload = JSON.stringify([{ event: 'open', email: 'x'.repeat(size) }]);
    const time = seconds();
    const signature = sign('sha256', Buffer.from(time + payload), privateKey).toString('base64');
    return {
      payload,
      headers: {
        'x-twilio-email-event-webhook-timestamp': time,
        'x-twilio-email-event-webhook-signature': signature,
      },
    };
  };
  expect(await post('sendgrid', large(700_000))).toEqual({ status: 200, noted: false });
  expect(await post('sendgrid', large(1_100_000))).toMatchObject({ status: 413, code: 'body_too_large' });
});
