// A process that sends webhooks beside its jobs. Real: the process, Postgres, HTTP. Nothing is doubled.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { enqueueWebhook } from '../../src/define/recorder.ts';
import { startFakeWebhookReceiver, type FakeWebhookReceiver } from '../../src/testing/webhook-receiver.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { until } from '../support/wait.ts';
import { customer } from '../support/webhook-app.ts';

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const slots = { jobs: 2, webhooks: 3 };
const opened = Promise.withResolvers<void>();

let world: World;
let receiver: FakeWebhookReceiver;
beforeAll(async () => {
  receiver = await startFakeWebhookReceiver({
    secrets: [secret],
    answer: () => opened.promise.then(() => 204),
  });
  world = await fleetWorld({
    WAYBILL_APP: 'test/support/webhook-app.ts',
    WAYBILL_CONCURRENCY: String(slots.jobs),
    WAYBILL_WEBHOOK_CONCURRENCY: String(slots.webhooks),
    WAYBILL_WEBHOOK_ALLOW: '127.0.0.1',
  });
  const { db } = world.database;
  await db.executeSql('create table endpoints (id text primary key, url text, secrets text[])');
  const sql = 'insert into endpoints select id, $2, $3 from unnest($1::text[]) id';
  await db.executeSql(sql, [['c0', 'c1', 'c2', 'c3', 'c4'], receiver.url, [secret]]);
});
afterAll(async () => {
  await world.end();
  await receiver.close();
});

type Seen = { readonly queues: readonly string[]; readonly slots: number; readonly busy: number };

it('has slots for webhooks apart from those for jobs: receivers that hang hold up no job, and the heartbeat tells both', async () => {
  const { db } = world.database;
  const { outbox } = world;
  const process = await world.fleet.start('jobs');
  for (let n = 0; n < 5; n++) await enqueueWebhook(outbox, customer.to(`c${n}`), { n });
  await until(() => receiver.received.length === slots.webhooks, { what: 'as many webhooks as slots' });
  await world.enqueue('quick', {}, 20);
  await until(async () => (await world.counts()).delivered === 20, { what: 'the jobs' });
  expect(receiver.received).toHaveLength(slots.webhooks);

  const workers = await until(
    async () => {
      const { rows } = await db.executeSql<{ workers: Seen[] }>('select workers from waybill.processes');
      return rows[0]?.workers.some(({ busy }) => busy === slots.webhooks) && rows[0].workers;
    },
    { what: 'a heartbeat with webhooks' },
  );
  expect(workers).toMatchObject([
    { slots: slots.jobs },
    { queues: ['webhooks'], slots: slots.webhooks, busy: slots.webhooks },
  ]);
  expect(workers[0]!.queues).toContain('jobs');

  opened.resolve();
  await world.quiet();
  expect(await world.counts()).toEqual({ delivered: 25 });
  expect(receiver.received.map(({ signedWith }) => signedWith)).toEqual(Array(5).fill(secret));
  process.kill('SIGTERM');
  expect(await process.ended).toBe(0);
});
