// Options that nobody knows are errors at every function that users call; what is no object of options is one too.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  ActionError,
  createMemoryOutbox,
  createOutboxDrainRoute,
  createOutboxEventRecorder,
  createOutboxJobDispatcher,
  createPostgresOutbox,
  createPostgresOutboxSetupStatements,
  defineAction,
  defineApp,
  defineCron,
  defineEvent,
  defineJob,
  defineListener,
  defineOutboxRegistry,
  drainOutbox,
  enqueueEmail,
  enqueueJob,
  type ActionContext,
} from '../../src/index.ts';
import { checkOptions } from '../../src/options.ts';
import { runAction, startFakeSmtpServer, startTestFleet } from '../../src/testing.ts';

const work = defineJob({ name: 'work', payload: z.object({}), handler: async () => undefined });
const happened = defineEvent({ name: 'happened', payload: z.object({}) });
const outbox = createMemoryOutbox();
const registry = defineOutboxRegistry({ jobs: [work], events: [happened] });
const email = { to: 'ann@customers.example', from: 'shop@shop.example', subject: 'Hi', text: 'Hi' };
const message = { kind: 'job' as const, name: 'work', queue: 'jobs', payload: {} };
const claim = { limit: 1, leaseMs: 1_000, workerId: 'w' };
const executor = { executeSql: async () => ({ rows: [] }) };
const handler = async (): Promise<void> => undefined;
const provider = {
  name: 'own',
  idempotent: true,
  send: async () => ({ accepted: [], rejected: [], response: '' }),
};
const [id, token] = ['0199c0de-0000-7000-8000-000000000000', '0199c0de-0000-4000-8000-000000000000'];

/** Runs in an action. */
const within = (use: (ctx: ActionContext) => Promise<unknown>) => {
  const action = defineAction({
    name: 'act',
    args: z.object({}),
    access: 'public',
    emits: [happened],
    handler: async (ctx) => void (await use(ctx as ActionContext)),
  });
  return runAction(action, {}, { outbox: createMemoryOutbox() });
};

/** Each function with the options that are right, and an option that is nearly right, as a text. */
type Use = (options: never) => unknown;
const functions: [string, Use, object, string, string][] = [
  [
    'ctx.jobs.dispatch',
    (o) => within((ctx) => ctx.jobs.dispatch(work, {}, o)),
    {},
    'deliverykey',
    'deliveryKey',
  ],
  [
    'ctx.jobs.dispatchMany',
    (o) => within((ctx) => ctx.jobs.dispatchMany(work, [o])),
    { payload: {} },
    'availableat',
    'availableAt',
  ],
  [
    'ctx.events.record',
    (o) => within((ctx) => ctx.events.record(happened, {}, o)),
    {},
    'prioritty',
    'priority',
  ],
  [
    'ctx.events.recordMany',
    (o) => within((ctx) => ctx.events.recordMany(happened, [o])),
    { payload: {} },
    'payloads',
    'payload',
  ],
  ['ctx.email.enqueue', (o) => within((ctx) => ctx.email.enqueue(o)), email, 'subjcet', 'subject'],
  ['enqueueJob', (o) => enqueueJob(outbox, work, {}, o), {}, 'deliveryKye', 'deliveryKey'],
  ['enqueueEmail', (o) => enqueueEmail(outbox, email, o), {}, 'fromm', 'from'],
  ['createOutboxEventRecorder', (o) => createOutboxEventRecorder(outbox, o), {}, 'requestid', 'requestId'],
  [
    'record of it',
    (o) => createOutboxEventRecorder(outbox).record(happened, {}, o),
    {},
    'deliverykey',
    'deliveryKey',
  ],
  [
    'createOutboxJobDispatcher',
    (o) => createOutboxJobDispatcher(outbox, o),
    {},
    'traceParent',
    'traceparent',
  ],
  [
    'dispatch of it',
    (o) => createOutboxJobDispatcher(outbox).dispatch(work, {}, o),
    {},
    'deliverykey',
    'deliveryKey',
  ],
  ['enqueue', (o) => outbox.enqueue(o), message, 'maxattempts', 'maxAttempts'],
  ['claimBatch', (o) => outbox.claimBatch(o), claim, 'leaseMS', 'leaseMs'],
  ['markFailed', (o) => outbox.markFailed(id, token, 'x', o), {}, 'delayMS', 'delayMs'],
  ['once', (o) => outbox.once(o, async () => 1), { scope: 's', key: 'k' }, 'noWiat', 'noWait'],
  ['claimBatch on Postgres', (o) => createPostgresOutbox(executor).claimBatch(o), claim, 'que', 'queues'],
  [
    'markFailed on Postgres',
    (o) => createPostgresOutbox(executor).markFailed(id, token, 'x', o),
    {},
    'permament',
    'permanent',
  ],
  ['createPostgresOutbox', (o) => createPostgresOutbox(executor, o), {}, 'tablename', 'tableName'],
  [
    'createPostgresOutboxSetupStatements',
    (o) => createPostgresOutboxSetupStatements(o),
    {},
    'tablename',
    'tableName',
  ],
  ['drainOutbox', (o) => drainOutbox(o), { outbox, registry }, 'batchsize', 'batchSize'],
  ['drainOutbox: email', (o) => drainOutbox({ outbox, registry, email: o }), { provider }, 'form', 'from'],
  [
    'drainOutbox: instrumentation',
    (o) => drainOutbox({ outbox, registry, instrumentation: o }),
    {},
    'deliverd',
    'delivered',
  ],
  [
    'createOutboxDrainRoute',
    (o) => createOutboxDrainRoute(o),
    { outbox, registry, secret: 's' },
    'timelimitMs',
    'timeLimitMs',
  ],
  [
    'defineAction',
    (o) => defineAction(o),
    { name: 'a', args: z.object({}), access: 'public', handler },
    'resutl',
    'result',
  ],
  ['defineJob', (o) => defineJob(o), { name: 'a', payload: z.object({}), handler }, 'timeuot', 'timeout'],
  [
    'defineJob: retry',
    (o) => defineJob({ name: 'a', payload: z.object({}), handler, retry: o }),
    {},
    'maxattempts',
    'maxAttempts',
  ],
  [
    'defineJob: backoff',
    (o) => defineJob({ name: 'a', payload: z.object({}), handler, retry: { backoff: o } }),
    {},
    'inital',
    'initial',
  ],
  ['defineEvent', (o) => defineEvent(o), { name: 'a', payload: z.object({}) }, 'paylaod', 'payload'],
  ['defineListener', (o) => defineListener(o), { name: 'a', event: happened, handler }, 'qeue', 'queue'],
  ['defineApp', (o) => defineApp(o), {}, 'job', 'jobs'],
  ['defineApp: email', (o) => defineApp({ email: o }), {}, 'retyr', 'retry'],
  ['defineOutboxRegistry', (o) => defineOutboxRegistry(o), {}, 'listners', 'listeners'],
  ['defineCron', (o) => defineCron(o), { jobs: [] }, 'jbos', 'jobs'],
  [
    'a job of defineCron',
    (o) => defineCron({ jobs: [o] }),
    { name: 'a', schedule: '0 3 * * *', action: 'a' },
    'timezone',
    'timeZone',
  ],
  ['ActionError', (o) => new ActionError(404, 'gone', 'Gone', o), {}, 'cuase', 'cause'],
  [
    'runAction',
    (o) => runAction(defineAction({ name: 'a', args: z.object({}), access: 'public', handler }), {}, o),
    { outbox },
    'invokr',
    'invoker',
  ],
  [
    'startTestFleet',
    (o) => startTestFleet(o),
    { databaseUrl: 'postgres://127.0.0.1:1/x', app: 'x.ts' },
    'envs',
    'env',
  ],
  ['startFakeSmtpServer', (o) => startFakeSmtpServer(o), {}, 'answr', 'answer'],
];

async function thrownBy(use: () => unknown): Promise<Error | undefined> {
  try {
    await use();
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

describe.each(functions)('%s', (name, use, right, typo, meant) => {
  const known = name === 'claimBatch on Postgres' ? 'queues' : meant;

  it('refuses an option that nobody knows, names the one that was meant, and lists all', async () => {
    const error = await thrownBy(() => use({ ...right, [typo]: 'x' } as never));
    expect(error).toBeInstanceOf(Error);
    expect(error!.message).toContain(typo);
    expect(error!.message).toContain(known);
  });

  it.each([
    ['5', 5],
    ['null', null],
    ['a list', []],
    ['a text', 'x'],
    ['true', true],
    ['a Date', new Date()],
    ['a function', () => undefined],
  ])('refuses %s as options', async (_, given) => {
    if (Array.isArray(given) && ['ctx.email.enqueue', 'enqueue'].includes(name)) return; // many of them
    const error = await thrownBy(() => use(given as never));
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(TypeError);
  });

  it('takes undefined as absent', async () => {
    const error = await thrownBy(() => use({ ...right, nobodyKnows: undefined } as never));
    expect(error?.message ?? '').not.toContain('nobodyKnows');
  });
});

it('of any known options in any number there is no complaint, of any other there is one', () => {
  const known = ['deliveryKey', 'availableAt', 'priority', 'payload'];
  fc.assert(
    fc.property(fc.dictionary(fc.oneof(fc.constantFrom(...known), fc.string()), fc.anything()), (given) => {
      const strange = Object.keys(given).some((key) => !known.includes(key) && given[key] !== undefined);
      const checking = (): void => checkOptions('it', given, known);
      if (strange)
        expect(checking).toThrow(/there is no option[\s\S]*deliveryKey, availableAt, priority, payload/);
      else expect(checking).not.toThrow();
    }),
  );
});

it('an option with a name of a megabyte costs no more than reading it', () => {
  expect(() => checkOptions('it', { ['a'.repeat(1_000_000)]: 1 }, ['name'])).toThrow(
    /^it: there is no option a{80}; there are name$/,
  );
});
