import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { idempotent } from '../../src/action/idempotent.ts';
import { defineAction } from '../../src/define/action.ts';
import { defineApp } from '../../src/define/app.ts';
import type { ActionContext } from '../../src/define/context.ts';
import { pruneKept } from '../../src/relay/prune.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';
import { apiKey, testWeb, type TestWeb } from '../support/web.ts';

let script: (ctx: ActionContext, args: { n?: number | undefined }) => Promise<unknown>;
let runs = 0;
const app = defineApp({
  actions: [
    defineAction({
      name: 'pay',
      args: z.object({ n: z.number().optional(), m: z.number().optional() }),
      access: 'public',
      anonymousKeys: true,
      async handler(ctx, args) {
        runs += 1;
        return script(ctx, args);
      },
    }),
    defineAction({
      name: 'other',
      args: z.object({}),
      access: 'public',
      anonymousKeys: true,
      handler: async () => 'other',
    }),
    defineAction({
      name: 'plain',
      args: z.object({}),
      access: 'public',
      handler: async () => ({ run: ++runs }),
    }),
  ],
  async authenticate({ headers }) {
    const user = headers['x-user'];
    if (headers.cookie !== undefined) return { type: 'user' }; // a session that has no id
    return typeof user === 'string' ? { type: 'user', id: user } : null;
  },
});

let database: TestDatabase;
let web: TestWeb;
beforeAll(async () => {
  database = await testDatabase();
  web = testWeb(app, database.url);
  await database.db.executeSql('create table payments (n int)');
});
beforeEach(async () => {
  runs = 0;
  script = async (ctx, { n }) => {
    await ctx.db.query('insert into payments values ($1)', [n ?? 0]);
    return { paid: n ?? 0 };
  };
  await database.db.executeSql('truncate payments');
});
afterAll(async () => {
  await web.end();
  await database.end();
});

const headersOf = (key: string | undefined, more: Record<string, string> = {}) => ({
  'content-type': 'application/json',
  ...(key === undefined ? {} : { 'idempotency-key': key }),
  ...more,
});
const post = async (
  key: string | undefined,
  body: object = {},
  more: Record<string, string> = {},
  name = 'pay',
) => {
  const request = { method: 'POST' as const, url: `/actions/${name}`, headers: headersOf(key, more) };
  const answer = await web.server.inject({ ...request, payload: JSON.stringify(body) });
  return {
    status: answer.statusCode,
    body: answer.json() as Record<string, unknown>,
    headers: answer.headers,
  };
};
const payments = async (): Promise<number> =>
  (await database.db.executeSql<{ n: number }>('select count(*)::int as n from payments')).rows[0]!.n;

describe('Idempotency-Key', () => {
  it('a repeat gets the first answer and does nothing', async () => {
    const first = await post('repeat', { n: 7 });
    const second = await post('repeat', { n: 7 });
    expect([first.status, first.body]).toEqual([200, { result: { paid: 7 } }]);
    expect([second.status, second.body]).toEqual([200, { result: { paid: 7 } }]);
    expect(first.headers['idempotency-replayed']).toBeUndefined();
    expect(second.headers['idempotency-replayed']).toBe('true');
    expect([runs, await payments()]).toEqual([1, 1]);
  });

  it('the same body in another order of keys is the same body; another body is 422', async () => {
    await post('order', { n: 1, m: 2 });
    expect((await post('order', { m: 2, n: 1 })).status).toBe(200);
    const other = await post('order', { n: 2 });
    expect([other.status, other.body['code']]).toEqual([422, 'idempotency_key_reused']);
    expect(await payments()).toBe(1);
  });

  it('one that is still running is 409, and the answer afterwards is the first one', async () => {
    const go = Promise.withResolvers<void>();
    script = async () => {
      await go.promise;
      return 'late';
    };
    const first = post('running');
    await until(() => runs === 1);
    const second = await post('running');
    expect([second.status, second.body['code']]).toEqual([409, 'idempotency_key_running']);
    go.resolve();
    expect((await first).body).toEqual({ result: 'late' });
    expect((await post('running')).body).toEqual({ result: 'late' });
    expect(runs).toBe(1);
  });

  it('A: an action that fails keeps no key: the same call may be made again', async () => {
    const works = script;
    script = async (ctx) => {
      await ctx.db.query('insert into payments values (1)');
      throw new Error('no');
    };
    expect((await post('fails')).status).toBe(500);
    script = works;
    expect((await post('fails')).status).toBe(200);
    expect(await payments()).toBe(1);
  });

  it('callers that cannot be told apart do not read each other’s answers', async () => {
    const nobody = await post('guess', {}, {}, 'plain');
    expect([nobody.status, nobody.body['code'], runs]).toEqual([400, 'idempotency_key_anonymous', 0]);
    const ann = await post('guess', {}, { cookie: 'session=ann' }, 'plain');
    const bob = await post('guess', {}, { cookie: 'session=bob' }, 'plain');
    const key = await post('guess', {}, { authorization: `Bearer ${apiKey}` }, 'plain');
    expect([ann, bob, key].map(({ body }) => body)).toEqual([1, 2, 3].map((run) => ({ result: { run } })));
    const again = await post('guess', {}, { cookie: 'session=ann' }, 'plain');
    expect([again.body, again.headers['idempotency-replayed']]).toEqual([{ result: { run: 1 } }, 'true']);
    expect((await post(undefined, {}, {}, 'plain')).status).toBe(200);
  });

  it('keys belong to their caller and their action', async () => {
    await post('mine', { n: 1 }, { 'x-user': 'ann' });
    expect((await post('mine', { n: 2 }, { 'x-user': 'bob' })).body).toEqual({ result: { paid: 2 } });
    expect((await post('mine', { n: 3 }, { authorization: `Bearer ${apiKey}` })).body).toEqual({
      result: { paid: 3 },
    });
    expect((await post('mine', { n: 4 })).body).toEqual({ result: { paid: 4 } });
    expect((await post('mine', {}, {}, 'other')).body).toEqual({ result: 'other' });
    expect((await post('mine', { n: 1 }, { 'x-user': 'ann' })).headers['idempotency-replayed']).toBe('true');
  });

  it('a key holds for a day', async () => {
    await post('old');
    await database.db.executeSql(
      `update waybill.outbox_idempotency set created_at = now() - interval '25 hours' where key = 'old'`,
    );
    expect((await post('old', { n: 9 })).body).toEqual({ result: { paid: 9 } });
  });

  it.each([
    ['an empty key', ''],
    ['256 characters', 'k'.repeat(256)],
  ])('%s is refused', async (_, key) => {
    const answer = await post(key);
    expect([answer.status, answer.body['code']]).toEqual([400, 'idempotency_key_invalid']);
    expect(runs).toBe(0);
  });

  it('without a key nothing is kept', async () => {
    const count = async () =>
      (await database.db.executeSql('select from waybill.outbox_idempotency')).rows.length;
    const before = await count();
    await post(undefined);
    await post(undefined);
    expect([runs, await count()]).toEqual([2, before]);
  });
});

describe('idempotent', () => {
  const call = { invoker: { type: 'anonymous' }, requestId: 'r' } as const;
  const run = (body: typeof script): Promise<unknown> => {
    script = body;
    return web.runner.run('pay', {}, call);
  };
  const pay = (ctx: ActionContext, key: string) =>
    idempotent(ctx, key, async () => {
      await ctx.db.query('insert into payments values (1)');
      return { at: await payments() };
    });

  it('does it once, and gives the first answer from then on', async () => {
    const first = await run((ctx) => pay(ctx, 'a'));
    expect(await run((ctx) => pay(ctx, 'a'))).toEqual(first);
    expect(await run((ctx) => pay(ctx, 'b'))).not.toEqual(first);
    expect(await payments()).toBe(2);
  });

  it('A: the key and the effect commit together or not at all', async () => {
    const failing = run(async (ctx) => {
      await pay(ctx, 'together');
      throw new Error('after it');
    });
    await expect(failing).rejects.toThrow('after it');
    expect(await payments()).toBe(0);
    await run((ctx) => pay(ctx, 'together'));
    expect(await payments()).toBe(1);
  });

  it('when it throws and the handler goes on, neither key nor effect stays', async () => {
    await run(async (ctx) => {
      const failing = idempotent(ctx, 'throws', async () => {
        await ctx.db.query('insert into payments values (1)');
        throw new Error('inside');
      });
      await failing.catch(() => undefined);
    });
    expect(await payments()).toBe(0);
    await run((ctx) => pay(ctx, 'throws'));
    expect(await payments()).toBe(1);
  });

  it('two at once: the second waits and finds it done', async () => {
    const go = Promise.withResolvers<void>();
    script = (ctx) =>
      idempotent(ctx, 'both', async () => {
        await ctx.db.query('insert into payments values (1)');
        await go.promise;
        return 'once';
      });
    const both = [web.runner.run('pay', {}, call), web.runner.run('pay', {}, call)];
    const waiting = `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`;
    await until(async () => (await database.db.executeSql(waiting)).rows.length > 0);
    go.resolve();
    expect(await Promise.all(both)).toEqual(['once', 'once']);
    expect(await payments()).toBe(1);
  });

  it('a key that is none is refused', async () => {
    await expect(run((ctx) => idempotent(ctx, '', async () => 1))).rejects.toMatchObject({
      code: 'idempotency_key_invalid',
    });
  });

  it('keys go when their retention is over, those of requests after a day', async () => {
    const { db } = database;
    await db.executeSql('truncate waybill.outbox_idempotency');
    await db.executeSql(`insert into waybill.outbox_idempotency (scope, key, fingerprint, created_at) values
      ('request', 'old', 'f', now() - interval '25 hours'), ('request', 'young', 'f', now() - interval '23 hours'),
      ('handler', 'old', null, now() - interval '3 days'), ('handler', 'young', null, now() - interval '25 hours')`);
    const retention = { deliveredMs: 0, deadMs: 0, keyMs: 2 * 86_400_000 };
    expect(await pruneKept(db, retention, 1)).toMatchObject({ outbox_idempotency: 2, more: true });
    expect(await pruneKept(db, retention, 100)).toMatchObject({ outbox_idempotency: 0, more: false });
    const { rows } = await db.executeSql('select scope, key from waybill.outbox_idempotency order by scope');
    expect(rows).toEqual([
      { scope: 'handler', key: 'young' },
      { scope: 'request', key: 'young' },
    ]);
  });
});
