// Real relay and workers, and a stand-in of Resend that answers as Resend does when a sender's domain is not verified, and when a key was
// deleted: what concerns one message stops nobody else, and what concerns the key costs no message its life.

import { afterEach, expect, it } from 'vitest';
import { prepareEmail } from '../../src/email/email.ts';
import type { NewMessage } from '../../src/message/message.ts';
import { listQueues } from '../../src/queues/queues.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import type { Deviation } from '../support/mail-api.ts';
import { problem, startResend, type ResendEmail, type ResendServer } from '../support/resend.ts';
import { until } from '../support/wait.ts';

let world: World;
let resend: ResendServer;
afterEach(async () => {
  await world.end();
  await resend.close();
});

const unverified = (domain: string) =>
  `The ${domain} domain is not verified. Please, add and verify your domain`;

async function start(answer: (email: ResendEmail) => Deviation | undefined): Promise<void> {
  resend = await startResend({ answer, answerBatch: (emails) => emails.map(answer).find((one) => one) });
  world = await fleetWorld({
    WAYBILL_EMAIL_PROVIDER: 'resend',
    RESEND_API_KEY: 're_test',
    RESEND_BASE_URL: resend.url,
    WAYBILL_LEASE: '5s',
  });
  await world.fleet.start('relay');
}

const mail = (i: number, from: string): NewMessage => {
  const email = { from, to: `a${i}@b.test`, subject: 'Receipt', text: 'Thank you' };
  return {
    kind: 'email',
    name: 'email',
    queue: 'email',
    payload: prepareEmail(email, { defaultFrom: null }),
  };
};
const queue = async () => (await listQueues(world.database.db)).find(({ name }) => name === 'email')!;
const parkings = () => world.counter('waybill_queue_parkings_total');

it('thirty mails of an unverified sender: each is dead with its reason, all others go out, the queue stays open', async () => {
  await start(({ from }) =>
    from.includes('wrong.test')
      ? { say: problem(403, 'validation_error', unverified('wrong.test')) }
      : undefined,
  );
  const bad = Array.from({ length: 30 }, (_, i) => mail(i, 'shop@wrong.test'));
  const good = Array.from({ length: 60 }, (_, i) => mail(100 + i, 'shop@right.test'));
  await world.outbox.enqueue([...bad, ...good]);
  await Promise.all([world.fleet.start('email'), world.fleet.start('email')]);
  await world.quiet(60_000);
  expect(await world.counts()).toEqual({ dead: 30, delivered: 60 });
  expect(resend.accepted.map(({ email }) => email.from)).toEqual(Array(60).fill('shop@right.test'));
  const { rows } = await world.database.db.executeSql<{ last_error: string; attempts: number }>(
    `select distinct last_error, attempts from waybill.outbox_messages where status = 'dead'`,
  );
  expect(rows).toEqual([
    { last_error: expect.stringContaining('wrong.test domain is not verified'), attempts: 1 },
  ]);
  expect(await parkings()).toBe(0);
});

it('a key that was deleted, told with 400 and the name of another error: parked, and nothing dies', async () => {
  let deleted = true;
  await start(() => (deleted ? { say: problem(400, 'validation_error', 'API key is invalid') } : undefined));
  await world.outbox.enqueue(
    Array.from({ length: 40 }, (_, i) => ({ ...mail(i, 'shop@right.test'), maxAttempts: 1 })),
  );
  await world.fleet.start('email');
  await until(async () => ((await queue()).probe?.failed ?? 0) > 0, { what: 'a probe to fail' });
  expect(await queue()).toMatchObject({
    state: 'parked',
    reason: expect.stringContaining('API key is invalid'),
  });
  expect(resend.accepted).toEqual([]);
  deleted = false;
  await world.quiet(90_000);
  expect(await world.counts()).toEqual({ delivered: 40 });
});

it('a 403 that nobody knows, for thirty mails: the others go out, and the thirty are tried again by themselves', async () => {
  await start(({ from }) =>
    from.includes('odd.test') ? { say: problem(403, 'forbidden', 'no') } : undefined,
  );
  const bad = Array.from({ length: 30 }, (_, i) => ({ ...mail(i, 'shop@odd.test'), priority: 10 }));
  const good = Array.from({ length: 30 }, (_, i) => mail(100 + i, 'shop@right.test'));
  await world.outbox.enqueue([...bad, ...good]);
  await world.fleet.start('email');
  const n = (status: string) =>
    world.count('select count(*)::int as n from waybill.outbox_messages where status = $1', [status]);
  await until(async () => (await n('delivered')) === 30, { what: 'the good ones', timeoutMs: 150_000 });
  await until(
    async () =>
      (await world.count('select count(*)::int as n from waybill.outbox_messages where attempts > 0')) === 60,
    {
      what: 'the bad ones to use attempts of their own',
      timeoutMs: 90_000,
    },
  );
  await until(async () => (await queue()).state === 'open', { what: 'an open queue', timeoutMs: 60_000 });
  expect(await n('dead')).toBe(0);
}, 240_000);
