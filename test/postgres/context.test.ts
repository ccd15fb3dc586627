// Each part of `ctx` does its work in an action, a job and a listener alike. Real: Postgres, the runner of actions, drains. Doubled: nothing.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createActionRunner } from '../../src/action/run.ts';
import { createOutboxEventRecorder, defineAction, defineEndpoint, defineEvent, defineJob, defineListener, defineOutboxRegistry, drainOutbox, enqueueJob, enqueueWebhook, idempotent, type ActionContext } from '../../src/index.ts'; // prettier-ignore
import { createLog } from '../../src/metrics/log.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

const log = createLog({ level: 'silent', role: 'test' });
const url = 'https://hooks.example.com/';
const secrets = ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'];
const empty = z.object({});

let steer: (ctx: ActionContext) => Promise<unknown>;
const run = async (ctx: ActionContext): Promise<void> => void (await steer(ctx));
const hook = defineEndpoint({ name: 'hook', resolve: () => ({ url, secrets }) });
const foreign = defineEndpoint({ name: 'foreign', url, secrets });
const asked = defineEvent({ name: 'asked', payload: empty });
const noted = defineEvent({ name: 'noted', payload: empty });
const work = defineJob({ name: 'work', payload: empty, handler: run });
const other = defineJob({ name: 'other', payload: empty, queue: 'others', handler: () => undefined });
const hears = defineListener({ name: 'hears', event: asked, handler: run });
const act = defineAction({ name: 'act', access: 'public', args: empty, emits: [noted], handler: run });
const registry = defineOutboxRegistry({
  actions: [act],
  events: [asked, noted],
  jobs: [work, other],
  listeners: [hears],
  endpoints: [hook],
});

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
  await database.db.executeSql('create table effects (what text)');
});
beforeEach(() =>
  database.db.executeSql('truncate waybill.outbox_messages, waybill.queue_groups, effects cascade'),
);
afterAll(() => database.end());

const outbox = () => createPostgresOutbox(database.db);
const drain = () => drainOutbox({ outbox: outbox(), registry, pool: database.db, log });
const rows = async (sql: string) => (await database.db.executeSql<Record<string, unknown>>(sql)).rows;

/** Where a handler runs, and how it gets there. The last one claims the event, then its listener. */
const places: readonly (readonly [where: string, go: () => Promise<unknown>])[] = [
  ['an action', async () => {
    const ports = { db: database.db, registry, outboxOn: createPostgresOutbox, emailFrom: 'shop@a.test', log, notify: () => undefined };
    await createActionRunner(ports).run('act', {}, { invoker: { type: 'anonymous' }, requestId: 'r' });
  }],
  ['a job', async () => {
    await enqueueJob(outbox(), work, {});
    await drain();
  }],
  ['a listener', async () => {
    await createOutboxEventRecorder(outbox()).record(asked, {});
    await drain();
    await drain();
  }],
]; // prettier-ignore

describe.each(places)('in %s', (_, go) => {
  /** What it returned, or the code of the error that it threw. */
  async function inside(body: (ctx: ActionContext) => Promise<unknown>): Promise<unknown> {
    let told: unknown;
    steer = async (ctx) => {
      told = await body(ctx).catch((error: Error & { code?: string }) => error.code ?? error);
    };
    await go();
    return told;
  }
  const names = async (kind: string): Promise<unknown[]> =>
    (await rows(`select name from waybill.outbox_messages where kind = '${kind}' and name not in ('work', 'asked', 'hears')`)).map(({ name }) => name); // prettier-ignore

  it('db, database and idempotent', async () => {
    const told = await inside(async (ctx) => {
      await ctx.db.query('insert into effects values ($1)', ['once']);
      return [ctx.database, await idempotent(ctx, 'key', () => 7)];
    });
    expect([told, await rows('select what from effects')]).toEqual([[null, 7], [{ what: 'once' }]]);
  });

  it('email, events and jobs', async () => {
    const told = await inside(async (ctx) => {
      await ctx.email.enqueue({ from: 'shop@a.test', to: 'ann@b.test', subject: 's', text: 't' });
      await ctx.events.record(noted, {});
      const [first] = await ctx.jobs.dispatchMany(other, [{ payload: {} }, { payload: {} }]);
      return ctx.jobs.cancel(first!.id);
    }); // prettier-ignore
    expect(told).toBe(true);
    expect([await names('email'), await names('event'), await names('job')]).toEqual([['email'], ['noted'], ['other', 'other']]);
  }); // prettier-ignore

  it('webhooks: one and many are recorded, an unknown endpoint is refused', async () => {
    const told = await inside(async (ctx) => {
      await ctx.webhooks.send(hook.to('c1'), { n: 1 });
      await ctx.webhooks.sendMany(hook.to('c2'), [{ payload: { n: 2 } }, { payload: { n: 3 } }]);
      return ctx.webhooks.send(foreign, {});
    });
    expect(told).toBe('unknown_endpoint');
    const recorded = await rows(`select group_key as "group", payload -> 'body' ->> 'n' as n from waybill.outbox_messages where name = 'webhook:hook' order by 2`); // prettier-ignore
    expect(recorded).toEqual([{ group: 'hook:c1', n: '1' }, { group: 'hook:c2', n: '2' }, { group: 'hook:c2', n: '3' }]); // prettier-ignore
  });

  it('webhooks: an endpoint is opened, and its dead webhooks are sent again', async () => {
    const { id } = await enqueueWebhook(outbox(), hook.to('c1'), {});
    await database.db.executeSql(`insert into waybill.queue_groups (queue, group_key, parked_at, parked_reason) values ('webhooks', 'hook:c1', now(), 'a reason')`); // prettier-ignore
    await database.db.executeSql(`update waybill.outbox_messages set status = 'dead', dead_at = now(), dead_cause = 'permanent', relayed_at = now(), revision = revision + 1 where id = $1`, [id]); // prettier-ignore
    const since = new Date(Date.now() - 3_600_000);
    const told = await inside(async (ctx) => [
      await ctx.webhooks.resume(hook.to('c1')),
      await ctx.webhooks.replay(hook.to('c1'), { since }),
    ]);
    expect(told).toEqual([true, { retried: 1, hastened: 0, recorded: 0, next: null }]);
  });

  it('log, signal, invoker, requestId and push', async () => {
    const told = await inside(async (ctx) => {
      ctx.log.info('a line');
      return [ctx.signal.aborted, typeof ctx.invoker.type, typeof ctx.requestId, await ctx.push.enqueue().catch((error: { code: string }) => error.code)]; // prettier-ignore
    });
    expect(told).toEqual([false, 'string', 'string', 'push_not_available']);
  });
});
