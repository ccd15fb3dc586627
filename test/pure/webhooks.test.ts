// Definitions of endpoints, and webhooks in an outbox in memory. Real: the definitions, the action runner, the drain and an HTTP server. Doubled: Postgres.

import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineAction } from '../../src/define/action.ts';
import { defineApp } from '../../src/define/app.ts';
import { defineEndpoint } from '../../src/define/endpoint.ts';
import { defineJob } from '../../src/define/job.ts';
import { defineQueue } from '../../src/define/queue.ts';
import { createRegistry, defineOutboxRegistry } from '../../src/define/registry.ts';
import { retryPolicy } from '../../src/define/retry.ts';
import { horizonOf, retryDelay } from '../../src/message/backoff.ts';
import { retryAfterOf } from '../../src/message/retry-after.ts';
import { createMemoryOutbox } from '../../src/store/memory.ts';
import { drainMemoryOutbox } from '../../src/testing/drain-memory.ts';
import { runAction } from '../../src/testing/run-action.ts';
import { startFakeWebhookReceiver } from '../../src/testing/webhook-receiver.ts';
import { mostSecrets, secretsProblem } from '../../src/webhook/signature.ts';

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const url = 'https://hooks.example.com/orders';
const resolve = () => ({ url, secrets: [secret] });

describe('a definition', () => {
  it.each([
    ['no name', { url, secrets: [secret] }, /name must have 1 to 60/],
    ['a name with a colon', { name: 'a:b', url, secrets: [secret] }, /name must have 1 to 60/],
    ['neither url nor resolve', { name: 'a' }, /give url and secrets, or resolve/],
    ['no secrets', { name: 'a', url }, /give url and secrets, or resolve/],
    ['both', { name: 'a', url, secrets: [secret], resolve }, /leave them out beside it/],
    ['a url that is none', { name: 'a', url: 'here', secrets: [secret] }, /url must be a URL such as/],
    ['a user in the url', { name: 'a', url: 'https://u:p@a.test/', secrets: [secret] }, /without a user/],
    [
      'a very long url',
      { name: 'a', url: `${url}${'x'.repeat(3_000)}`, secrets: [secret] },
      /url must be a URL such as/,
    ],
    ['a bad secret', { name: 'a', url, secrets: ['whsec_short'] }, /secrets\[0\] must be whsec_/],
    ['a resolve that is no function', { name: 'a', resolve: url }, /resolve must be a function/],
    ['a long timeout', { name: 'a', resolve, timeout: '2m' }, /timeout must be at most 1m/],
    [
      'a parkAfter that is no duration',
      { name: 'a', resolve, parkAfter: 'soon' },
      /parkAfter must be a duration/,
    ],
    [
      'an onParked that is no function',
      { name: 'a', resolve, onParked: true },
      /onParked must be a function/,
    ],
    ['an unknown option', { name: 'a', resolve, secret }, /secret/],
    [
      'two ways to retry',
      { name: 'a', resolve, retry: { delays: ['1s'], maxAttempts: 3 } },
      /retry\.delays says everything/,
    ],
    ['no delays', { name: 'a', resolve, retry: { delays: [] } }, /list of 1 to 999 durations/],
  ])('with %s is refused', (_, options, message) => {
    expect(() => defineEndpoint(options as never)).toThrow(message);
    expect(() => defineEndpoint(options as never)).toThrow(
      expect.objectContaining({ code: 'definition_invalid' }),
    );
  });

  it('names one of many by its id, and only then', () => {
    const many = defineEndpoint({ name: 'many', resolve });
    const one = defineEndpoint({ name: 'one', url, secrets: [secret] });
    expect(many.to('c1')).toMatchObject({ id: 'c1' });
    for (const id of ['', 'a\nb', 'x'.repeat(131), 7 as never])
      expect(() => many.to(id)).toThrow(/1 to 130 characters/);
    expect(() => one.to('c1')).toThrow(/has a url of its own/);
  });

  it('gives the queue a limit for each endpoint, unless the application has its own', () => {
    const endpoint = defineEndpoint({ name: 'a', resolve });
    const limitsOf = (perGroup?: object) =>
      createRegistry(
        defineApp({
          endpoints: [endpoint],
          ...(perGroup && { queues: [defineQueue({ name: 'webhooks', perGroup })] }),
        }),
      ).limits.get('webhooks');
    expect(limitsOf()).toEqual({ groupConcurrency: 4 });
    expect(limitsOf({ concurrency: 10 })).toMatchObject({ groupConcurrency: 10 });
  });

  it('leaves its queue and its names to itself', () => {
    const endpoint = defineEndpoint({ name: 'a', resolve, onParked: () => undefined });
    const job = (name: string, queue?: string) =>
      defineJob({ name, ...(queue && { queue }), payload: z.object({}), handler: () => undefined });
    const all = {
      endpoints: [endpoint],
      jobs: [job('webhook:a'), job('webhook:a:parked'), job('other', 'webhooks')],
    };
    expect(() => defineApp(all)).toThrow(
      /webhook:a has the name.*[^]*webhook:a:parked has the name.*[^]*is for webhooks alone/,
    );
    expect(() => defineApp({ endpoints: [endpoint, endpoint] })).toThrow(/endpoint a is there twice/);
    expect(() => defineApp({ endpoints: [job('a') as never] })).toThrow(/endpoints\[0\] is the job a/);
  });
});

describe('secrets', () => {
  const bytes = (n: number): string => `whsec_${Buffer.alloc(n, n).toString('base64')}`;
  it('have 24 to 64 bytes in base64', () => {
    for (const n of [24, 25, 26, 32, 64]) expect(secretsProblem([bytes(n)])).toBeUndefined();
    for (const n of [0, 1, 23, 65, 100]) expect(secretsProblem([bytes(n)])).toMatch(/24 to 64 bytes/);
    for (const bad of [secret.slice(6), `${secret}=`, `${secret} `, '', 7, null])
      expect(secretsProblem([bad])).toMatch(/whsec_/);
  });
  it('are one to ten different ones', () => {
    const many = (n: number): string[] => Array.from({ length: n }, (_, i) => bytes(24 + i));
    expect(secretsProblem(many(mostSecrets))).toBeUndefined();
    expect(secretsProblem(many(mostSecrets + 1))).toMatch(/at most 10/);
    expect(secretsProblem([secret, secret])).toMatch(/twice/);
    for (const none of [[], undefined, secret, {}]) expect(secretsProblem(none)).toMatch(/at least one/);
  });
});

describe('Retry-After', () => {
  const now = Date.parse('2026-11-30T12:00:00Z');
  const date = (text: string): string => new Date(text).toUTCString();
  it.each([
    ['120', null, 120_000],
    ['120.0', null, 120_000],
    ['1.5', null, 1_500],
    ['99999999999999999999', null, 1e12],
    [date('2026-11-30T12:05:00Z'), date('2026-11-30T12:04:00Z'), 60_000], // by the other server's clock
    [date('2026-11-30T12:05:00Z'), null, 300_000],
    [date('2026-11-30T12:05:00Z'), 'soon', 300_000],
    [date('2026-11-30T11:00:00Z'), null, 0],
    ['soon', null, undefined],
    ['-5', null, undefined],
    ['', null, undefined],
  ])('%j beside the date %j', (value, theirs, ms) => expect(retryAfterOf(value, theirs, now)).toBe(ms));
});

describe('given delays', () => {
  const { maxAttempts, backoff } = retryPolicy('job a', { delays: ['5s', '1m'] });
  it('are waited, a tenth shorter or longer, and a longer Retry-After wins', () => {
    expect(maxAttempts).toBe(3);
    const at = (attempt: number, random: number, asked?: number) =>
      retryDelay(backoff, attempt, () => random, asked);
    expect([at(1, 0), at(1, 0.5), at(1, 1), at(2, 0.5), at(9, 0.5)]).toEqual([
      4_500, 5_000, 5_500, 60_000, 60_000,
    ]);
    expect(at(1, 0.5, 7_000)).toBe(7_000);
    expect(horizonOf(backoff, maxAttempts)).toBe(65_000);
  });
});

describe('without Postgres', () => {
  const customer = defineEndpoint({ name: 'customer', payload: z.object({ type: z.string() }), resolve });
  const paying = defineAction({
    name: 'paying',
    access: 'public',
    args: z.object({ to: z.string() }),
    async handler(ctx, { to }) {
      await ctx.webhooks.send(
        customer.to(to),
        { type: 'order.paid' },
        { deliveryKey: 'paid-1', tags: ['order-1'] },
      );
    },
  });

  it('an action records a webhook in the outbox in memory', async () => {
    const outbox = createMemoryOutbox();
    await runAction(paying, { to: 'c1' }, { outbox });
    expect(outbox.messages).toMatchObject([
      {
        kind: 'job',
        name: 'webhook:customer',
        queue: 'webhooks',
        group: 'customer:c1',
        deliveryKey: 'c1/paid-1',
        maxAttempts: 10,
        payload: { to: 'c1', body: { type: 'order.paid' } },
      },
    ]);
  });

  it('an endpoint that the application does not have is refused', async () => {
    const app = defineApp({ actions: [paying] });
    const run = runAction(paying, { to: 'c1' }, { outbox: createMemoryOutbox(), app });
    await expect(run).rejects.toMatchObject({ code: 'unknown_endpoint' });
  });

  it('a drain sends it to the receiver of a test', async () => {
    const receiver = await startFakeWebhookReceiver({ secrets: [secret] });
    const here = defineEndpoint({ name: 'here', url: receiver.url, secrets: [secret] });
    const sending = defineAction({
      name: 'sending',
      access: 'public',
      args: z.object({}),
      handler: async (ctx) => void (await ctx.webhooks.sendMany(here, [{ payload: 1 }, { payload: [2] }])),
    });
    const outbox = createMemoryOutbox();
    await runAction(sending, {}, { outbox });
    const registry = defineOutboxRegistry({ endpoints: [here] });
    expect(await drainMemoryOutbox({ outbox, registry, webhookAllow: ['127.0.0.1'] })).toMatchObject({
      delivered: 2,
    });
    expect(receiver.received.map(({ payload, signedWith }) => [payload, signedWith])).toEqual([
      [1, secret],
      [[2], secret],
    ]);
    const bad = drainMemoryOutbox({ outbox, registry, webhookAllow: ['10.0.0.0/99'] });
    await expect(bad).rejects.toMatchObject({ code: 'drain_options_invalid' });
    await receiver.close();
  });
});
