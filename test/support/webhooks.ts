// Webhooks for tests: an application with endpoints, a receiver on this machine, and drains with the circuit of the fleet.

import { z } from 'zod';
import { createActionRunner } from '../../src/action/run.ts';
import { defineAction } from '../../src/define/action.ts';
import type { ActionContext } from '../../src/define/context.ts';
import { defineEndpoint, type EndpointAddress, type ParkedEndpoint } from '../../src/define/endpoint.ts';
import { enqueueWebhook } from '../../src/define/recorder.ts';
import { defineOutboxRegistry } from '../../src/define/registry.ts';
import { drainOutbox } from '../../src/drain/drain.ts';
import type { DrainOptions } from '../../src/drain/options.ts';
import { createMetrics } from '../../src/metrics/catalogue.ts';
import { createEvents } from '../../src/metrics/events.ts';
import { createLog } from '../../src/metrics/log.ts';
import { listGroups } from '../../src/operate/groups.ts';
import { registerQueues } from '../../src/queues/queues.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { startFakeWebhookReceiver, type WebhookAnswer } from '../../src/testing/webhook-receiver.ts';
import { createQueueCloser } from '../../src/worker/queue-closer.ts';
import { testDatabase } from './database.ts';

export const secrets = [
  'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD1IbY',
];
export const [older, newer] = secrets as [string, string];

export const payload = { type: 'order.paid', at: new Date('2026-11-30T08:00:00Z') };
const payloadKeys = `2026:${Buffer.alloc(32, 7).toString('base64')}`;
const log = createLog({ level: 'silent', role: 'test' });

export type WebhookWorld = Awaited<ReturnType<typeof webhookWorld>>;

/** Call it in `beforeAll`, `reset()` in `beforeEach` and `end()` in `afterAll`. */
// oxlint-disable-next-line max-lines-per-function -- one world with its helpers
export async function webhookWorld() {
  const database = await testDatabase();
  const { db } = database;
  const now = {
    answer: (): WebhookAnswer | Promise<WebhookAnswer> => 204,
    /** What `resolve` returns. */
    address: (_id: string): EndpointAddress | null | Promise<EndpointAddress | null> => null,
    told: [] as ParkedEndpoint[],
    steer: async (_ctx: ActionContext): Promise<unknown> => undefined,
  };
  const receiver = await startFakeWebhookReceiver({ secrets, answer: () => now.answer() });
  await db.executeSql('create table looked_up (id text)');
  await db.executeSql('create table told (id text)');
  const customer = defineEndpoint({
    name: 'customer',
    payload: z.object({
      type: z.string(),
      at: z.codec(z.iso.datetime(), z.date(), { decode: (s) => new Date(s), encode: (d) => d.toISOString() }),
    }),
    async resolve(ctx, id) {
      await ctx.db.query('insert into looked_up values ($1)', [id]); // rolled back
      return now.address(id);
    },
    async onParked(ctx, parked) {
      now.told.push(parked);
      await ctx.db.query('insert into told values ($1)', [parked.id]);
    },
  });
  /** Has little time to answer, which any other needs on a busy machine. */
  const hasty = defineEndpoint({ name: 'hasty', timeout: '300ms', resolve: (_, id) => now.address(id) });
  const own = defineEndpoint({ name: 'own', url: 'https://hooks.example.com/a', secrets: [older] });
  const secret = defineEndpoint({ name: 'secret', sensitive: true, resolve: (_, id) => now.address(id) });
  const steering = defineAction({
    name: 'steering',
    access: 'public',
    args: z.object({}),
    handler: async (ctx) => now.steer(ctx),
  });
  const registry = defineOutboxRegistry({ endpoints: [customer, hasty, own, secret], actions: [steering] });
  const outbox = () => createPostgresOutbox(db, { payloadKeys });
  const events = createEvents(log, createMetrics({ version: 'test' }));
  const closer = createQueueCloser({ db, events, workerId: 'w', outboxOn: createPostgresOutbox });

  return {
    database,
    receiver,
    now,
    customer,
    own,
    secret,
    registry,
    outbox,
    async reset() {
      Object.assign(now, { answer: () => 204, address: () => ({ url: receiver.url, secrets }), told: [] });
      receiver.received.length = 0;
      await db.executeSql(
        'truncate waybill.outbox_messages, waybill.outbox_audit, waybill.outbox_notes, waybill.outbox_attempts, waybill.queues, waybill.queue_groups, told cascade',
      );
      await registerQueues(db, ['webhooks', 'jobs'], new Map(registry.limits));
      await db.executeSql(`update waybill.queues set ramp_from = null`);
    },
    send: async (id = 'c1'): Promise<string> => (await enqueueWebhook(outbox(), customer.to(id), payload)).id,
    sendHastily: async (): Promise<string> => (await enqueueWebhook(outbox(), hasty.to('c1'), {})).id,
    async drain(times = 1, options: Partial<DrainOptions> = {}) {
      let report;
      for (let i = 0; i < times; i++)
        report = await drainOutbox(
          { outbox: outbox(), registry, pool: db, payloadKeys, webhookAllow: ['127.0.0.1'], log, ...options },
          { closer, events },
        );
      return report!;
    },
    group: async (name = 'customer:c1') =>
      (await listGroups(db, 'webhooks')).groups.find((one) => one.group === name),
    /** Everything that waits is due, and holds are over. */
    async pass(): Promise<void> {
      await db.executeSql(
        `update waybill.outbox_messages set available_at = now(), revision = revision + 1 where status in ('failed', 'pending')`,
      );
      await db.executeSql('update waybill.queue_groups set held_until = now() where held_until is not null');
    },
    /** Runs an action of the application. */
    async act<T>(handler: (ctx: ActionContext) => Promise<T>): Promise<T> {
      now.steer = handler;
      const ports = {
        db,
        outboxOn: createPostgresOutbox,
        emailFrom: null,
        registry,
        log,
        notify: () => undefined,
      };
      const caller = { invoker: { type: 'anonymous' }, requestId: 'r' } as const;
      return (await createActionRunner(ports).run('steering', {}, caller)) as T;
    },
    /** What `resolve` wrote. */
    lookedUp: async () => (await db.executeSql('select from looked_up')).rows.length,
    async end() {
      await receiver.close();
      await database.end();
    },
  };
}
