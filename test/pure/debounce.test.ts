// Debounce and replace without a database: the due time, the options of every way to record, and transactions of the outbox in memory.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { performAction } from '../../src/action/run.ts';
import { Scope } from '../../src/db/scope.ts';
import type { Transaction } from '../../src/db/transaction.ts';
import {
  createMemoryOutbox,
  createOutboxEventRecorder,
  createOutboxJobDispatcher,
  defineAction,
  defineApp,
  defineEvent,
  defineJob,
  enqueueEmail,
  enqueueJob,
  type ActionContext,
} from '../../src/index.ts';
import { createRegistry } from '../../src/define/registry.ts';
import { createLog } from '../../src/metrics/log.ts';
import { dueOf } from '../../src/message/duplicate.ts';
import { runAction } from '../../src/testing.ts';
import { handlerDatabase } from '../../src/testing/handler-database.ts';

const sync = defineJob({
  name: 'sync',
  payload: z.object({ n: z.number() }),
  handler: async () => undefined,
});
const changed = defineEvent({ name: 'changed', payload: z.object({ n: z.number() }) });
const email = { from: 'shop@a.test', to: 'ann@b.test', subject: 'n', text: 'n' };
const key = { deliveryKey: 'k' };

describe('the due time of a debounced message', () => {
  it('is the pause after the last recording, and never later than the maximum wait after the first', () => {
    const time = fc.integer({ min: 0, max: 100_000 });
    const input = fc.record({
      ms: fc.integer({ min: 1, max: 10_000 }),
      more: time,
      created: time,
      wait: time,
      later: time,
    });
    fc.assert(
      fc.property(input, ({ ms, more, created, wait, later }) => {
        const [now, maxWaitMs] = [created + later, ms + more];
        const before = created + Math.min(wait, maxWaitMs);
        const first = { createdAt: created, availableAt: before };
        const due = dueOf({ debounce: { ms, maxWaitMs } }, first, undefined, now);
        expect(due).toBeLessThanOrEqual(created + maxWaitMs);
        if (now < created + maxWaitMs) expect(due).toBe(Math.min(now + ms, created + maxWaitMs));
        else expect(due).toBe(Math.min(before, now)); // it keeps its place in the queue
      }),
    );
  });

  it('without debounce is that of the message that waits, unless a time is given', () => {
    const first = { createdAt: 0, availableAt: 7 };
    expect(dueOf({ debounce: null }, first, undefined, 9)).toBe(7);
    expect(dueOf({ debounce: null }, first, 8, 9)).toBe(8);
  });
});

describe('every way to record', () => {
  type Way = (n: number, ctx: ActionContext) => Promise<{ replaced?: true }>;
  const options = { ...key, debounce: '30s' } as const;
  const ways: Readonly<Record<string, Way>> = {
    'ctx.jobs.dispatch': (n, ctx) => ctx.jobs.dispatch(sync, { n }, options),
    'ctx.jobs.dispatchMany': async (n, ctx) =>
      (await ctx.jobs.dispatchMany(sync, [{ payload: { n }, ...options }]))[0]!,
    'ctx.events.record': (n, ctx) => ctx.events.record(changed, { n }, options),
    'ctx.email.enqueue': (n, ctx) => ctx.email.enqueue({ ...email, subject: String(n), ...options }),
  };

  it.each(Object.entries(ways))('%s takes debounce', async (_, way) => {
    const outbox = createMemoryOutbox();
    const act = defineAction({
      name: 'act',
      access: 'public',
      args: z.object({ n: z.number() }),
      emits: [changed],
      handler: async (ctx, { n }) => (await way(n, ctx)).replaced ?? false,
    });
    expect(await runAction(act, { n: 1 }, { outbox })).toBe(false);
    expect(await runAction(act, { n: 2 }, { outbox })).toBe(true);
    expect(outbox.messages).toHaveLength(1);
    expect(outbox.messages[0]!.replacements).toBe(1);
    expect(JSON.stringify(outbox.messages[0]!.payload)).toContain('2');
    expect(outbox.messages[0]!.payload).not.toHaveProperty('debounce');
  });

  it('the functions without actions take it', async () => {
    const outbox = createMemoryOutbox();
    const replace = { ...key, onDuplicate: 'replace' } as const;
    const jobs = createOutboxJobDispatcher(outbox);
    const events = createOutboxEventRecorder(outbox);
    for (const n of [1, 2]) {
      await enqueueJob(outbox, sync, { n }, replace);
      await jobs.dispatch(sync, { n }, replace);
      await events.record(changed, { n }, replace);
      await enqueueEmail(outbox, { ...email, subject: String(n), ...replace });
    }
    expect(outbox.messages.map(({ replacements }) => replacements)).toEqual([3, 1, 1]);
  });

  it('refuses the options without a key', async () => {
    const outbox = createMemoryOutbox();
    const refused = { code: 'debounce_needs_key' };
    await expect(enqueueJob(outbox, sync, { n: 1 }, { debounce: '1s' })).rejects.toMatchObject(refused);
    await expect(enqueueEmail(outbox, { ...email, maxWait: '1s' })).rejects.toMatchObject(refused);
  });
});

describe('NOTIFY', () => {
  it('names a new message, and none that waited before or is debounced', async () => {
    const outbox = createMemoryOutbox();
    const { transaction, outboxOn } = handlerDatabase(outbox, undefined);
    async function placesOf(handler: (ctx: ActionContext) => Promise<unknown>): Promise<string[]> {
      const act = defineAction({
        name: 'act',
        access: 'public',
        args: z.object({}),
        handler: async (ctx) => void (await handler(ctx)),
      });
      const perform = async (tx: Transaction): Promise<ReadonlySet<string>> => {
        const call = { invoker: { type: 'anonymous' }, requestId: 'r' } as const;
        const registry = createRegistry(defineApp({ actions: [act] }));
        const log = createLog({ level: 'silent', role: 'test' });
        const on = { tx, scope: new Scope(tx), outboxOn, registry, alone: true, emailFrom: null, log };
        return (await performAction(act as never, {}, call, on)).recorded;
      };
      return [...(await transaction(perform))];
    }
    const replace = { ...key, onDuplicate: 'replace' } as const;
    expect(await placesOf((ctx) => ctx.jobs.dispatch(sync, { n: 1 }, replace))).toEqual(['jobs:0']);
    expect(await placesOf((ctx) => ctx.jobs.dispatch(sync, { n: 2 }, replace))).toEqual([]);
    const debounced = { deliveryKey: 'other', debounce: '30s' } as const;
    expect(await placesOf((ctx) => ctx.jobs.dispatch(sync, { n: 1 }, debounced))).toEqual([]);
  });
});

describe('a transaction of the outbox in memory', () => {
  const message = (payload: number) =>
    ({ kind: 'job', name: 'n', queue: 'q', payload, ...key, onDuplicate: 'replace' }) as const;
  const payloads = (outbox: ReturnType<typeof createMemoryOutbox>) =>
    outbox.messages.map(({ payload, status }) => [payload, status]);

  it('A: replaces at its commit, and not when it or its savepoint is undone', async () => {
    const outbox = createMemoryOutbox();
    await outbox.enqueue(message(1));
    const undone = outbox.begin();
    expect(await undone.outbox.enqueue(message(2))).toMatchObject({ replaced: true });
    expect(payloads(outbox)).toEqual([[1, 'pending']]);
    const work = outbox.begin();
    await work.outbox.enqueue(message(3));
    const savepoint = work.savepoint();
    await work.outbox.enqueue(message(4));
    await savepoint.undo();
    work.commit();
    expect(payloads(outbox)).toEqual([[3, 'pending']]);
  });

  it('records anew when the message was claimed before the commit', async () => {
    const outbox = createMemoryOutbox();
    await outbox.enqueue(message(1));
    const work = outbox.begin();
    await work.outbox.enqueue(message(2));
    await outbox.claimBatch({ limit: 1, leaseMs: 1_000, workerId: 'w' });
    work.commit();
    expect(payloads(outbox)).toEqual([
      [1, 'sending'],
      [2, 'pending'],
    ]);
  });

  it('does not replace a message that it has cancelled', async () => {
    const outbox = createMemoryOutbox();
    const { id } = await outbox.enqueue(message(1));
    const work = outbox.begin();
    await work.outbox.cancel(id);
    expect(await work.outbox.enqueue(message(2))).toMatchObject({ duplicate: false });
    work.commit();
    expect(payloads(outbox)).toEqual([
      [1, 'cancelled'],
      [2, 'pending'],
    ]);
  });
});
