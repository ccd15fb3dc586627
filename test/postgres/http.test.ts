import { once } from 'node:events';
import { connect, type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import orders from '../../app/index.ts';
import { defineAction } from '../../src/define/action.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { ActionError } from '../../src/define/action-error.ts';
import { defineApp } from '../../src/define/app.ts';
import { defineJob } from '../../src/define/job.ts';
import { webService } from '../../src/http/service.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';
import { apiKey, testWeb, type TestWeb } from '../support/web.ts';

const counted = defineJob({
  name: 'counted',
  payload: z.object({ n: z.int().max(9) }),
  handler: () => undefined,
});
let answer: () => unknown = () => undefined;
let slowRuns = 0;
const handler = async (_: unknown, args: unknown): Promise<unknown> => args;
const app = defineApp({
  events: orders.events,
  listeners: orders.listeners,
  jobs: [...orders.jobs, counted],
  actions: [
    ...orders.actions,
    defineAction({
      name: 'echo',
      args: z.object({ to: z.string().optional(), n: z.unknown().optional() }),
      access: 'public',
      handler,
    }),
    defineAction({
      name: 'find',
      access: 'public',
      http: 'GET /things/:id',
      handler,
      args: z.object({
        id: z.uuid(),
        deep: z.boolean().default(false),
        limit: z.int().max(10).default(5),
        tag: z.array(z.string()).optional(),
      }),
    }),
    defineAction({
      name: 'touch',
      access: 'public',
      http: 'PUT /things/:id/touch',
      handler,
      args: z.object({ id: z.string(), why: z.string().optional() }),
    }),
    defineAction({
      name: 'fail',
      args: z.object({}),
      access: 'public',
      handler: (ctx) => ctx.db.query('select geheim from nowhere'),
    }),
    defineAction({
      name: 'who',
      args: z.object({}),
      access: 'public',
      handler: async (ctx) => [ctx.invoker, ctx.requestId],
    }),
    defineAction({
      name: 'slow',
      args: z.object({}),
      access: 'public',
      handler: async (ctx) => {
        slowRuns += 1;
        await ctx.db.query('select pg_sleep(0.2)');
      },
    }),
    defineAction({
      name: 'answer',
      args: z.object({}),
      access: 'public',
      handler: async (ctx) => {
        await ctx.jobs.dispatch(counted, { n: 1 });
        return answer();
      },
    }),
    defineAction({
      name: 'pass',
      args: z.object({ n: z.number() }),
      access: 'public',
      handler: (ctx, { n }) => ctx.jobs.dispatch(counted, { n }),
    }),
    defineAction({ name: 'inner', args: z.object({}), access: 'system', handler }),
  ],
});

let database: TestDatabase;
let web: TestWeb;
beforeAll(async () => {
  database = await testDatabase();
  web = testWeb(app, database.url);
});
afterAll(async () => {
  await web.end();
  await database.end();
});

const order = {
  customerEmail: 'ann@customers.test',
  items: [{ sku: 'tea', quantity: 2, unitPriceCents: 450 }],
};
const authorized = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' };
type Answer = { status: number; headers: Record<string, unknown>; body: Record<string, unknown> };

async function send(
  method: string,
  url: string,
  payload?: unknown,
  headers: Record<string, string> = authorized,
): Promise<Answer> {
  const body =
    payload === undefined
      ? {}
      : {
          payload:
            typeof payload === 'string' || Buffer.isBuffer(payload) ? payload : JSON.stringify(payload),
        };
  const response = await web.server.inject({ method: method as 'GET', url, headers, ...body });
  const text = response.body;
  return {
    status: response.statusCode,
    headers: response.headers,
    body: text.startsWith('{') ? (JSON.parse(text) as Answer['body']) : { text },
  };
}
const recorded = async (): Promise<number> =>
  (
    await database.db.executeSql<{ n: number }>(
      'select (select count(*) from orders)::int + (select count(*) from waybill.outbox_messages)::int as n',
    )
  ).rows[0]!.n;

/** The form of every error. */
function expectProblem({ status, headers, body }: Answer, expected: number, code: string): void {
  expect({ status, code: body['code'], detail: body['detail'] }).toMatchObject({ status: expected, code });
  expect(headers['content-type']).toMatch(/^application\/problem\+json/);
  expect(body).toMatchObject({
    type: `urn:waybill:problem:${code}`,
    title: expect.any(String) as string,
    status: expected,
    requestId: headers['x-request-id'],
  });
  expect(JSON.stringify(body)).not.toMatch(/select |insert |\.ts:\d|node_modules/i);
}

describe('POST /orders', () => {
  it('commits the order with its messages, under the id of the request', async () => {
    const answer = await send('POST', '/orders', order, {
      ...authorized,
      'x-request-id': 'order-1',
      traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
    });
    expect(answer).toMatchObject({
      status: 200,
      headers: { 'x-request-id': 'order-1' },
      body: { result: { orderId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string } },
    });
    const { rows } = await database.db.executeSql(
      `select kind, request_id, traceparent from waybill.outbox_messages order by id`,
    );
    expect(rows.map((row) => row['kind'])).toEqual(['email', 'event', 'job']);
    for (const row of rows)
      expect(row).toMatchObject({
        request_id: 'order-1',
        traceparent: expect.stringContaining('aaaa') as string,
      });
  });

  it('also as POST /actions/:name', async () => {
    expect((await send('POST', '/actions/orders.place', order)).status).toBe(200);
  });

  it.each<[string, unknown, string]>([
    ['no customerEmail', { items: order.items }, 'customerEmail'],
    ['customerEmail null', { ...order, customerEmail: null }, 'customerEmail'],
    ['an address that is none', { ...order, customerEmail: 'bob' }, 'customerEmail'],
    [
      'a second line in the address',
      { ...order, customerEmail: 'b@y.test\r\nBcc: evil@z.test' },
      'customerEmail',
    ],
    ['two addresses in one', { ...order, customerEmail: 'b@y.test, evil@z.test' }, 'customerEmail'],
    ['no items', { customerEmail: order.customerEmail }, 'items'],
    ['items empty', { ...order, items: [] }, 'items'],
    ['items no array', { ...order, items: 'tea' }, 'items'],
    ['quantity 0', { ...order, items: [{ ...order.items[0], quantity: 0 }] }, 'items[0].quantity'],
    ['quantity 1.5', { ...order, items: [{ ...order.items[0], quantity: 1.5 }] }, 'items[0].quantity'],
    ['quantity as text', { ...order, items: [{ ...order.items[0], quantity: '2' }] }, 'items[0].quantity'],
    [
      'a negative price',
      { ...order, items: [order.items[0], { ...order.items[0], unitPriceCents: -1 }] },
      'items[1].unitPriceCents',
    ],
    ['a misspelt field', { ...order, customerEmial: 'x' }, 'customerEmial'],
    ['a strange field inside', { ...order, items: [{ ...order.items[0], skuu: 'x' }] }, 'items[0].skuu'],
    ['__proto__', JSON.stringify(order).replace('{', '{"__proto__":{"a":1},'), '__proto__'],
  ])('%s: 400 with the path, and nothing is recorded', async (_, body, path) => {
    const before = await recorded();
    const answer = await send('POST', '/orders', body);
    expectProblem(answer, 400, 'invalid_arguments');
    expect((answer.body['errors'] as { path: string }[]).map((error) => error.path)).toContain(path);
    expect(await recorded()).toBe(before);
  });

  it('a misspelt field comes with a hint', async () => {
    const { body } = await send('POST', '/orders', { ...order, customerEmial: 'x' });
    expect(body['detail']).toContain('did you mean customerEmail?');
  });

  it.each<[string, Record<string, string>]>([
    ['no key', {}],
    ['a wrong key', { authorization: 'Bearer wrong' }],
    ['another scheme', { authorization: `Basic ${apiKey}` }],
    ['the key alone', { authorization: apiKey }],
  ])('%s: 401 before the body is looked at', async (_, headers) => {
    const answer = await send('POST', '/orders', '{"broken', {
      'content-type': 'application/json',
      ...headers,
    });
    expectProblem(answer, 401, 'unauthorized');
    expect(answer.headers['www-authenticate']).toBe('Bearer');
  });
});

describe('bodies', () => {
  const json = { 'content-type': 'application/json' };
  const deep = `${'{"n":'.repeat(60)}1${'}'.repeat(60)}`;
  it.each<[string, string | Buffer | undefined, Record<string, string>, number, string, RegExp]>([
    ['empty', undefined, json, 400, 'body_empty', /empty/],
    ['cut off', '{"to":', json, 400, 'body_not_json', /position 6/],
    ['no JSON', '{to: 1}', json, 400, 'body_not_json', /position 1/],
    ['null', 'null', json, 400, 'body_not_object', /null/],
    ['an array', '[]', json, 400, 'body_not_object', /array/],
    ['a text', '"x"', json, 400, 'body_not_object', /string/],
    ['a number', '5', json, 400, 'body_not_object', /number/],
    ['no UTF-8', Buffer.from([0xff, 0xfe, 0x7b]), json, 400, 'body_not_utf8', /UTF-8/],
    ['UTF-16', '{}', { 'content-type': 'application/json; charset=utf-16' }, 400, 'body_not_utf8', /UTF-8/],
    [
      'a form',
      'a=b',
      { 'content-type': 'application/x-www-form-urlencoded' },
      415,
      'unsupported_media_type',
      /json/,
    ],
    [
      'compressed',
      Buffer.from([0x1f, 0x8b]),
      { ...json, 'content-encoding': 'gzip' },
      415,
      'unsupported_content_encoding',
      /compressed/,
    ],
    ['1 MB and a byte', `{"to":"${'x'.repeat(1_048_576 - 8)}"}`, json, 413, 'body_too_large', /1048576/],
    ['U+0000', '{"n":{"a":["x\\u0000"]}}', json, 400, 'null_character', /n\.a\[0\]/],
    ['U+0000 in a key', '{"n":{"a\\u0000":1}}', json, 400, 'null_character', /n\.a/],
    ['half a surrogate pair', '{"to":"\\ud800"}', json, 400, 'invalid_unicode', /to/],
    ['1e400', '{"n":1e400}', json, 400, 'number_out_of_range', /n/],
    ['2^53 + 1', '{"n":9007199254740993}', json, 400, 'number_out_of_range', /as a string/],
    [
      '100,000 keys',
      `{"n":{${Array.from({ length: 100_000 }, (_, i) => `"${i}":1`).join()}}}`,
      json,
      400,
      'too_many_keys',
      /10000/,
    ],
    ['nested too deep', deep, json, 400, 'too_deep', /50/],
    ['an unknown key', '{"too":"x"}', json, 400, 'invalid_arguments', /did you mean to\?/],
  ])('%s', async (_, body, headers, status, code, detail) => {
    const answer = await send('POST', '/actions/echo', body, headers);
    expectProblem(answer, status, code);
    expect(answer.body['detail']).toMatch(detail);
  });

  it('a byte order mark is no harm', async () => {
    expect(await send('POST', '/actions/echo', Buffer.from('\ufeff{"to":"x"}'), json)).toMatchObject({
      status: 200,
      body: { result: { to: 'x' } },
    });
  });

  it('1 MB exactly is taken', async () => {
    expect((await send('POST', '/actions/echo', `{"to":"${'x'.repeat(1_048_576 - 9)}"}`, json)).status).toBe(
      200,
    );
  });
});

describe('paths', () => {
  it.each<[string, string, number, string]>([
    ['GET', '/nowhere', 404, 'not_found'],
    ['GET', '/', 404, 'not_found'],
    ['GET', '//admin/../outbox', 404, 'not_found'],
    ['GET', '/%2e%2e/etc/passwd', 404, 'not_found'],
    ['GET', '/%zz', 400, 'invalid_url'],
    ['GET', '/orders', 405, 'method_not_allowed'],
    ['HEAD', '/orders', 405, 'method_not_allowed'],
    ['DELETE', '/orders', 405, 'method_not_allowed'],
    ['POST', '/livez', 405, 'method_not_allowed'],
    ['GET', '/actions/echo', 405, 'method_not_allowed'],
    ['POST', '/actions/nothing', 404, 'unknown_action'],
    ['POST', '/actions/%00', 404, 'unknown_action'],
    ['POST', '/actions/inner', 403, 'forbidden'],
  ])('%s %s: %d %s', async (method, url, status, code) => {
    const answer = await send(method, url, method === 'POST' ? {} : undefined);
    if (method === 'HEAD') expect(answer.status).toBe(status);
    else expectProblem(answer, status, code);
    if (status === 405) expect(answer.headers['allow']).toMatch(/POST|GET/);
  });

  it('an unknown action comes with a hint, but never with the name of a system one', async () => {
    expect((await send('POST', '/actions/ehco', {})).body['detail']).toContain('did you mean echo?');
    expect((await send('POST', '/actions/iner', {})).body['detail']).not.toContain('inner');
  });

  const id = '0199c0de-0000-7000-8000-000000000000';
  it('arguments come from path and query, as the schema types them', async () => {
    expect((await send('GET', `/things/${id}?deep=true&limit=7&tag=a`)).body).toEqual({
      result: { id, deep: true, limit: 7, tag: ['a'] },
    });
    expect((await send('GET', `/things/${id}`)).body).toEqual({ result: { id, deep: false, limit: 5 } });
    expect((await send('PUT', `/things/x/touch`)).body).toEqual({ result: { id: 'x' } });
    expect((await send('PUT', `/things/x/touch`, { why: 'so' })).body).toEqual({
      result: { id: 'x', why: 'so' },
    });
  });

  it.each<[string, string, string, unknown, string]>([
    ['no UUID', 'GET', '/things/x', undefined, 'invalid_arguments'],
    ['limit as a word', 'GET', `/things/${id}?limit=ten`, undefined, 'invalid_arguments'],
    ['limit twice', 'GET', `/things/${id}?limit=1&limit=2`, undefined, 'invalid_arguments'],
    ['unknown in the query', 'GET', `/things/${id}?limt=1`, undefined, 'invalid_arguments'],
    ['path and query', 'GET', `/things/${id}?id=${id}`, undefined, 'argument_given_twice'],
    ['path and body', 'PUT', '/things/x/touch', { id: 'y' }, 'argument_given_twice'],
    ['U+0000 in the path', 'PUT', '/things/%00/touch', {}, 'null_character'],
  ])('%s: 400', async (_, method, url, body, code) => {
    expectProblem(await send(method, url, body), 400, code);
  });
});

describe("Waybill's own paths", () => {
  it('are refused as the path of an action, each of them', async () => {
    const own = testWeb(defineApp({}), database.url, { RESEND_WEBHOOK_SECRET: 'whsec_bm90IGEgc2VjcmV0' });
    await own.server.ready();
    const routes = own.server.printRoutes({ commonPrefix: false }).matchAll(/^[├└]── (\/[^/: ]+)/gm);
    const paths = new Set([...routes].map(([, path]) => path!));
    expect([...paths]).toEqual(expect.arrayContaining(['/admin', '/console', '/livez', '/webhooks']));
    for (const path of paths) {
      const http = `GET ${path}/more` as const;
      const taking = () =>
        defineApp({
          actions: [defineAction({ name: 'own', access: 'public', args: z.object({}), http, handler })],
        });
      expect(taking, path).toThrow(/one of Waybill's own/);
    }
    await own.end();
  });
});

describe('answers', () => {
  it('an id that is not sane is replaced by one of ours', async () => {
    for (const given of ['', 'a b', 'x'.repeat(129), '<script>']) {
      const { headers } = await send('GET', '/livez', undefined, { 'x-request-id': given });
      expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  it('whoever has the key is a user, everybody else anonymous', async () => {
    const as = async (headers: Record<string, string>): Promise<unknown> =>
      (
        await send(
          'POST',
          '/actions/who',
          {},
          { 'x-request-id': 'r', 'content-type': 'application/json', ...headers },
        )
      ).body['result'];
    expect(await as({})).toEqual([{ type: 'anonymous' }, 'r']);
    expect(await as({ authorization: `bearer ${apiKey}` })).toEqual([{ type: 'user' }, 'r']);
  });

  it('an error of SQL is a 500 that tells nothing of it', async () => {
    const answer = await send('POST', '/actions/fail', {});
    expectProblem(answer, 500, 'internal_error');
    expect(JSON.stringify(answer.body)).not.toMatch(/geheim|nowhere/);
  });

  it('openapi.json describes what may be called', async () => {
    const { status, body } = await send('GET', '/openapi.json');
    const paths = body['paths'] as Record<string, Record<string, object>>;
    expect(status).toBe(200);
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining(['/orders', '/actions/orders.place', '/things/{id}']),
    );
    expect(paths['/actions/inner']).toBeUndefined();
    expect(paths['/orders']?.['post']).toMatchObject({
      security: [{ key: [] }],
      requestBody: { content: { 'application/json': { schema: { required: ['customerEmail', 'items'] } } } },
    });
    expect(paths['/things/{id}']?.['get']).toMatchObject({
      parameters: [
        { name: 'id', in: 'path' },
        { name: 'deep', in: 'query' },
        { name: 'limit' },
        { name: 'tag' },
      ],
    });
  });

  it('livez, readyz, healthz and the metrics of the fleet', async () => {
    for (const path of ['/livez', '/readyz', '/healthz'])
      expect(await send('GET', path)).toMatchObject({ status: 200 });
    const { status, headers, body } = await send('GET', '/metrics');
    expect([status, headers['content-type']]).toEqual([
      200,
      expect.stringMatching(/^text\/plain; version=0\.0\.4/),
    ]);
    expect(body['text']).toContain('waybill_outbox_messages');
  });
});

describe('what an action throws', () => {
  const post = async (name: string, args: object) => {
    const response = await web.server.inject({ method: 'POST', url: `/actions/${name}`, payload: args });
    return {
      status: response.statusCode,
      type: response.headers['content-type'],
      body: response.json<Record<string, unknown>>(),
    };
  };
  const recorded = async (): Promise<number> =>
    (
      await database.db.executeSql<{ n: number }>(
        `select count(*)::int as n from waybill.outbox_messages where name = 'counted'`,
      )
    ).rows[0]!.n;

  it.each([
    [404, 'order_not_found', 'There is no such order'],
    [400, 'a', 'x'],
    [409, 'taken', 'Somebody else was first'],
    [401, 'who', 'Who are you?'],
    [503, 'later', 'The bank is closed'],
    [599, 'odd', 'Odd'],
  ])('A: ActionError %d %s is the answer, and nothing is kept', async (status, code, message) => {
    answer = () => {
      throw new ActionError(status, code, message, { cause: new Error('geheim') });
    };
    const { body, ...response } = await post('answer', {});
    expect(response).toEqual({ status, type: 'application/problem+json; charset=utf-8' });
    expect(body).toMatchObject({
      status,
      code,
      detail: message,
      type: `urn:waybill:problem:${code}`,
      requestId: expect.any(String) as string,
    });
    expect(JSON.stringify(body)).not.toContain('geheim');
    expect(await recorded()).toBe(0);
  });

  it('of another copy of this package, as in CommonJS, it is the same', async () => {
    answer = () => {
      throw Object.assign(new Error('There is no such order'), {
        name: 'ActionError',
        status: 404,
        code: 'order_not_found',
      });
    };
    expect(await post('answer', {})).toMatchObject({ status: 404, body: { code: 'order_not_found' } });
    answer = () => {
      throw Object.assign(new Error('the cursor is of another list'), {
        name: 'WaybillError',
        code: 'invalid_cursor',
        issues: [],
      });
    };
    expect(await post('answer', {})).toMatchObject({ status: 400, body: { code: 'invalid_cursor' } });
  });

  it.each<[string, unknown[]]>([
    ['a status that is no error', [200, 'fine', 'x']],
    ['a status below', [399, 'fine', 'x']],
    ['a status above', [600, 'fine', 'x']],
    ['a fraction', [404.5, 'fine', 'x']],
    ['a status as a text', ['404', 'fine', 'x']],
    ['NaN', [Number.NaN, 'fine', 'x']],
    ['a code with spaces', [404, 'not fine', 'x']],
    ['a code in capitals', [404, 'FINE', 'x']],
    ['no code', [404]],
    ['no message', [404, 'fine']],
    ['an empty message', [404, 'fine', ' ']],
  ])('ActionError with %s is a bug: 500, with a sentence that says what is wrong', async (_, given) => {
    answer = () => {
      throw new (ActionError as new (...args: unknown[]) => Error)(...given);
    };
    expect(await post('answer', {})).toMatchObject({
      status: 500,
      body: {
        code: 'action_error_invalid',
        detail: expect.stringMatching(/ActionError\(status, code, message\)/) as string,
      },
    });
  });

  it.each([[undefined], [null], ['a text'], [7], [{ statusCode: 200 }], [Object.create(null) as object]])(
    '%j, which is no Error, answers 500',
    async (value) => {
      answer = () => {
        throw value; // oxlint-disable-line typescript/only-throw-error -- other people's code
      };
      expect(await post('answer', {})).toMatchObject({ status: 500, body: { code: 'internal_error' } });
      expect(await recorded()).toBe(0);
    },
  );

  it('a payload that does not fit is the action’s mistake: 500, and the field is named', async () => {
    expect(await post('pass', { n: 10 })).toMatchObject({
      status: 500,
      body: {
        code: 'payload_invalid',
        detail: expect.stringContaining('n: ') as string,
        errors: [{ path: 'n' }],
      },
    });
  });
});

describe('around it', () => {
  it('a database that leads nowhere: 503, and livez stays', async () => {
    const lost = testWeb(app, 'postgres://u:geheim@127.0.0.1:1/none');
    try {
      const response = await lost.server.inject({
        method: 'POST',
        url: '/orders',
        headers: authorized,
        payload: JSON.stringify(order),
      });
      expect(response.statusCode).toBe(503);
      expect(response.json()).toMatchObject({ code: 'database_unavailable' });
      expect(response.headers['retry-after']).toBe('1');
      expect(response.body).not.toMatch(/geheim|127\.0\.0\.1/);
      expect((await lost.server.inject('/readyz')).statusCode).toBe(503);
      expect((await lost.server.inject('/livez')).statusCode).toBe(200);
    } finally {
      await lost.end();
    }
  });

  it('without WAYBILL_API_KEY nobody is authenticated; the metrics may be closed by a key', async () => {
    const closed = testWeb(app, database.url, {
      WAYBILL_API_KEY: undefined,
      WAYBILL_METRICS_KEY: 'metrics-key-of-tests',
    });
    try {
      const placed = await closed.server.inject({
        method: 'POST',
        url: '/orders',
        headers: authorized,
        payload: JSON.stringify(order),
      });
      expect(placed.statusCode).toBe(401);
      expect((await closed.server.inject('/metrics')).statusCode).toBe(401);
      const opened = await closed.server.inject({
        url: '/metrics',
        headers: { authorization: 'Bearer metrics-key-of-tests' },
      });
      expect(opened.statusCode).toBe(200);
    } finally {
      await closed.end();
    }
  });

  it('a body without an end is cut off: 413, and the connection is closed', async () => {
    await web.server.listen({ port: 0, host: '127.0.0.1' });
    const socket = connect((web.server.server.address() as AddressInfo).port, '127.0.0.1');
    let answer = '';
    socket.on('data', (data: Buffer) => (answer += data.toString()));
    socket.write(
      'POST /actions/echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n',
    );
    for (let i = 0; i < 16; i++) socket.write(`10000\r\n${'x'.repeat(0x10000)}\r\n`);
    socket.write('1\r\nx\r\n'); // one byte more than 1 MB, and no end
    await once(socket, 'close');
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain('body_too_large');
  });

  it('on the signal it answers what it has, closes the connections that stay open, and ends', async () => {
    const port = await freePort();
    const leaving = testWeb(app, database.url, { PORT: String(port) });
    const stop = new AbortController();
    const { registry, runner, drain, giveUp } = leaving;
    const running = webService(
      { ...leaving.host, signal: stop.signal },
      { registry, runner, drain, giveUp, notify: () => undefined },
    ).run(stop.signal);
    const url = `http://127.0.0.1:${port}`;
    await until(async () => (await fetch(`${url}/livez`)).ok, { what: 'a port that answers' });
    const answer = fetch(`${url}/actions/slow`, { method: 'POST', headers: authorized, body: '{}' });
    await until(() => slowRuns > 0, { what: 'the start of the action' });
    stop.abort();
    const { status, headers } = await answer;
    expect([status, headers.get('connection')]).toEqual([200, 'close']);
    const started = performance.now();
    await running;
    expect(performance.now() - started).toBeLessThan(2_000);
    await leaving.end();
  });

  it('two lengths of one body are refused by the parser', async () => {
    const socket = connect((web.server.server.address() as AddressInfo).port, '127.0.0.1');
    socket.write(
      'POST /actions/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    );
    const [data] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    expect(data.toString()).toMatch(/^HTTP\/1\.1 400 /);
  });
});
