import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import * as mini from 'zod/mini';
import * as z3 from 'zod/v3';
import app from '../../app/index.ts';
import { defineAction, type ActionOptions } from '../../src/define/action.ts';
import { defineApp, isApp, type AppOptions } from '../../src/define/app.ts';
import type { ActionContext } from '../../src/define/context.ts';
import { defineEvent, type Event } from '../../src/define/event.ts';
import { defineJob } from '../../src/define/job.ts';
import { defineListener } from '../../src/define/listener.ts';
import { decode, encodePayload } from '../../src/define/payload.ts';
import { createRegistry } from '../../src/define/registry.ts';
import { WaybillError } from '../../src/errors.ts';

const nothing = async (): Promise<void> => undefined;
const payload = z.object({ id: z.string() });
const event = defineEvent({ name: 'thing.happened', payload });
const other = defineEvent({ name: 'other.happened', payload });
const action = (given: Partial<ActionOptions<z.ZodType, z.ZodType, readonly Event[]>> = {}) =>
  defineAction({ name: 'act', args: z.object({}), access: 'public', handler: async () => null, ...given });
const job = (name = 'work', queue = 'jobs') => defineJob({ name, payload, queue, handler: nothing });
const narrow = (given: { readonly name?: string; readonly queue?: string } = {}) =>
  defineJob({ name: 'narrow', payload, concurrency: 2, handler: nothing, ...given });
const listener = (name = 'hear', to: Event<typeof payload> = event) =>
  defineListener({ name, event: to, handler: nothing });

function problemsOf(options: AppOptions): string[] {
  try {
    defineApp(options);
  } catch (error) {
    expect(error).toBeInstanceOf(WaybillError);
    expect((error as WaybillError).code).toBe('app_invalid');
    return (error as WaybillError).issues.map(({ message }) => message);
  }
  return [];
}

describe('a schema', () => {
  it.each([
    ['zod 3', z3.object({}), /must be a schema of zod 4.*this one is of zod 3: npm install zod@4/],
    [
      'zod/mini',
      mini.object({}),
      /must be a schema of zod 4, from `import \{ z \} from 'zod'`; this one is of zod\/mini/,
    ],
    ['nothing', undefined, /must be a schema of zod 4/],
    ['a type', 'string', /must be a schema of zod 4/],
  ])('of %s is refused by name', (_, schema, message) => {
    const foreign = schema as never;
    expect(() => defineJob({ name: 'work', payload: foreign, handler: nothing })).toThrow(message);
    expect(() => defineEvent({ name: 'work', payload: foreign })).toThrow(message);
    expect(() => action({ args: foreign })).toThrow(message);
    if (schema !== undefined) expect(() => action({ result: foreign })).toThrow(message);
  });
});

describe('defineApp', () => {
  it.each<[string, AppOptions, RegExp[]]>([
    ['two actions of one name', { actions: [action(), action()] }, [/action act is there twice/]],
    ['two jobs of one name', { jobs: [job(), job()] }, [/job work is there twice/]],
    [
      'an emit of an unregistered event',
      { actions: [action({ emits: [event] })] },
      [/act emits thing.happened/],
    ],
    [
      'a listener of an unregistered event',
      { events: [other], listeners: [listener()] },
      [/hear listens to thing.happened/],
    ],
    [
      'a route that is there twice',
      { actions: [action({ http: 'GET /a/:x' }), action({ name: 'b', http: 'GET /a/:y' })] },
      [/GET \/a\/:_ is there twice/],
    ],
    ['a route of the engine', { actions: [action({ http: 'GET /admin/x' })] }, [/one of Waybill's own/]],
    ['a malformed name', { jobs: [job('no spaces')] }, [/"no spaces"/]],
    ['a malformed queue', { jobs: [job('work', 'a b')] }, [/queue "a b"/]],
    ['a job among the events', { events: [job() as never] }, [/events\[0\] is the job work/]],
    ['something else', { actions: [undefined as never] }, [/actions\[0\] is not made by/]],
    [
      'a job with a concurrency in a standard queue',
      { jobs: [narrow({ queue: 'jobs' })] },
      [/job narrow has a concurrency and shares the queue jobs with everything in jobs: .*leave `queue` out/],
    ],
    [
      'a job that shares the queue of one with a concurrency',
      { jobs: [narrow(), job('work', 'narrow')] },
      [/job narrow .* shares the queue narrow with job work/],
    ],
    [
      'a listener that does, and two such jobs',
      {
        events: [event],
        listeners: [defineListener({ name: 'hear', event, queue: 'narrow', handler: nothing })],
        jobs: [narrow(), narrow({ name: 'other', queue: 'narrow' })],
      },
      [/job narrow .* with listener hear/, /job other .* with listener hear/],
    ],
    [
      'a job with a concurrency whose name is no queue’s',
      { jobs: [narrow({ name: 'reports:daily' })] },
      [/job reports:daily: the queue "reports:daily" must have/],
    ],
    [
      'several at once',
      { actions: [action(), action({ emits: [event] })], jobs: [job('')] },
      [/""/, /twice/, /emits/],
    ],
  ])('%s', (_, options, expected) => {
    const problems = problemsOf(options);
    expect(problems).toHaveLength(expected.length);
    for (const [i, pattern] of expected.entries()) expect(problems[i]).toMatch(pattern);
  });

  it('a job with a concurrency has a queue of its own, named after it unless it names one', () => {
    const jobs = [job(), narrow(), narrow({ name: 'other', queue: 'slow' })];
    const { queues, perProcess } = createRegistry(defineApp({ jobs }));
    expect(queues).toEqual(['events', 'jobs', 'narrow', 'slow']);
    expect([...perProcess]).toEqual([
      ['narrow', 2],
      ['slow', 2],
    ]);
  });

  it('gives a frozen application that the loader recognises', () => {
    const made = defineApp({ events: [event], listeners: [listener()] });
    expect(Object.isFrozen(made) && Object.isFrozen(made.listeners)).toBe(true);
    expect([isApp(made), isApp({ ...made }), isApp({ kind: 'app' }), isApp(undefined)]).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });

  it('the example is one', () => {
    expect(isApp(app)).toBe(true);
  });
});

describe('definitions', () => {
  const define = (options: object) => () =>
    defineJob({ name: 'w', payload, handler: nothing, ...options } as never);
  it.each<[string, () => unknown, RegExp]>([
    ['unknown option', define({ retires: {} }), /no option retires/],
    ['misspelt option', define({ retri: {} }), /was retry meant/],
    ['misspelt option inside', define({ retry: { maxAttemps: 1 } }), /was maxAttempts meant/],
    ['maxAttempts 0', define({ retry: { maxAttempts: 0 } }), /1 to 1000/],
    ['factor 0', define({ retry: { backoff: { factor: 0 } } }), /1 to 100/],
    ['duration without a unit', define({ timeout: '30' }), /'30s'/],
    ['negative duration', define({ timeout: -1 }), /duration/],
    ['max below initial', define({ retry: { backoff: { initial: '10s', max: '5s' } } }), /not be less/],
    ['no schema', define({ payload: { id: 'string' } }), /schema of zod/],
    ['no handler', define({ handler: undefined }), /handler must be a function/],
    ['Date without a codec', define({ payload: z.object({ at: z.date() }) }), /JSON cannot carry/],
    ['bigint', define({ payload: z.object({ n: z.bigint() }) }), /JSON cannot carry/],
    ['one-way transform', define({ payload: z.object({ n: z.string().transform(Number) }) }), /z\.codec/],
    ['access', () => action({ access: 'admin' as never }), /public, authenticated, system/],
    ['route without a method', () => action({ http: '/orders' }), /'POST \/orders'/],
    ['system over HTTP', () => action({ access: 'system', http: 'POST /x' }), /never over HTTP/],
    ['emits a name', () => action({ emits: ['thing.happened' as never] }), /defineEvent/],
    ['listener of a name', () => listener('hear', 'thing.happened' as never), /defineEvent/],
  ])('%s', (_, made, message) => {
    expect(made).toThrow(
      expect.objectContaining({
        code: 'definition_invalid',
        message: expect.stringMatching(message) as string,
      }) as Error,
    );
  });

  it('defaults: ten attempts, exponential, queues by kind', () => {
    expect(job()).toMatchObject({
      queue: 'jobs',
      timeoutMs: 900_000,
      retry: { maxAttempts: 10, backoff: { initial: 1_000, factor: 2, max: 3_600_000 } },
    });
    expect(listener()).toMatchObject({ queue: 'events', retry: { maxAttempts: 10 } });
  });

  it('types go from the schema to the handler', () => {
    const at = z.codec(z.iso.datetime(), z.date(), {
      decode: (text) => new Date(text),
      encode: (date) => date.toISOString(),
    });
    const dated = defineEvent({ name: 'dated', payload: z.object({ at, n: z.number() }) });
    defineListener({
      name: 'l',
      event: dated,
      handler: async (ctx, given) => {
        expectTypeOf(given).toEqualTypeOf<{ at: Date; n: number }>();
        expectTypeOf(ctx.message.attempt).toEqualTypeOf<number>();
      },
    });
    defineAction({
      name: 'a',
      args: z.object({ q: z.string().default('x') }),
      access: 'public',
      emits: [dated],
      handler: async (ctx, args) => {
        expectTypeOf(args).toEqualTypeOf<{ q: string }>();
        // @ts-expect-error the payload of an event is typed
        await ctx.events.record(dated, { at: 'yesterday', n: 1 });
        return 1;
      },
    });
    expect(dated.name).toBe('dated');
  });

  it('an event that emits lacks, a handler that is missing and a result that does not fit are type errors', () => {
    const common = { args: z.object({}), access: 'public' } as const;
    defineAction({
      ...common,
      name: 'emits',
      emits: [event],
      async handler(ctx) {
        await ctx.events.record(event, { id: '1' });
        // @ts-expect-error its payload is the same, but emits lacks it
        await ctx.events.record(other, { id: '1' });
        // @ts-expect-error of many, too
        await ctx.events.recordMany(other, [{ payload: { id: '1' } }]);
      },
    });
    // @ts-expect-error without emits there is no event to record
    defineAction({ ...common, name: 'silent', handler: (ctx) => ctx.events.record(event, { id: '1' }) });
    defineAction({
      ...common,
      name: 'result',
      result: z.object({ n: z.number() }),
      // @ts-expect-error the result does not fit its schema
      handler: async () => ({ n: 'one' }),
    });
    const incomplete = [
      // @ts-expect-error the handler is missing
      (): unknown => defineAction({ ...common, name: 'none' }),
      // @ts-expect-error the handler is missing
      (): unknown => defineJob({ name: 'none', payload }),
      // @ts-expect-error the handler is missing
      (): unknown => defineListener({ name: 'none', event }),
      // @ts-expect-error there is no such option
      (): unknown => defineJob({ name: 'more', payload, handler: nothing, attempts: 3 }),
    ];
    for (const define of incomplete) expect(define).toThrow(WaybillError);
    // @ts-expect-error the payload of a job is typed
    const wrong = (ctx: ActionContext): unknown => ctx.jobs.dispatch(job(), { id: 1 });
    const misspelt = (ctx: ActionContext): unknown =>
      // @ts-expect-error and so are the options
      ctx.jobs.dispatch(job(), { id: '1' }, { deliverykey: 'k' });
    expect([wrong, misspelt]).toHaveLength(2);
  });
});

describe('payloads', () => {
  const at = z.codec(z.iso.datetime(), z.date(), {
    decode: (text) => new Date(text),
    encode: (date) => date.toISOString(),
  });
  const dated = defineEvent({ name: 'dated', payload: z.object({ at }) });

  it('go through JSON by their codecs', async () => {
    const json = await encodePayload(dated, { at: new Date(0) });
    expect(json).toEqual({ at: '1970-01-01T00:00:00.000Z' });
    expect(await decode(dated, json)).toEqual({ at: new Date(0) });
  });

  it.each([[null], [{}], [{ at: 'yesterday' }], ['x']])(
    '%j does not fit: payload_invalid, with the path',
    async (json) => {
      await expect(decode(dated, json)).rejects.toMatchObject({ code: 'payload_invalid' });
    },
  );
});

describe('createRegistry', () => {
  it('finds definitions by name, listeners by event, and all queues', () => {
    const jobs = [job('one'), job('two', 'slow')];
    const registry = createRegistry(
      defineApp({
        events: [event, other],
        listeners: [listener('a'), listener('b'), listener('c', other)],
        jobs,
      }),
    );
    expect(registry.job('two')).toBe(jobs[1]);
    expect([registry.job('three'), registry.action('one'), registry.listener('z')]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(registry.listenersOf('thing.happened').map(({ name }) => name)).toEqual(['a', 'b']);
    expect(registry.listenersOf('nobody')).toEqual([]);
    expect(registry.queues).toEqual(['events', 'jobs', 'slow']);
  });
});
