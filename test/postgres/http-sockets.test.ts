import { once } from 'node:events';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineAction } from '../../src/define/action.ts';
import { defineApp } from '../../src/define/app.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';
import { testWeb, type TestWeb } from '../support/web.ts';

let begun = 0;
const gone: unknown[] = [];
const longName = 'n'.repeat(200);
const args = z.object({ key: z.string() });
const email = (key: string) => ({ to: 'ann@customers.test', subject: 's', text: 't', deliveryKey: key });
const app = defineApp({
  actions: [
    defineAction({
      name: 'record',
      access: 'public',
      args,
      handler: (ctx, { key }) => ctx.email.enqueue(email(key)),
    }),
    defineAction({
      name: 'wait',
      access: 'public',
      args,
      async handler(ctx, { key }) {
        await ctx.email.enqueue(email(key));
        begun += 1;
        await once(ctx.signal, 'abort');
        gone.push((ctx.signal.reason as { code?: string }).code);
      },
    }),
    defineAction({ name: longName, access: 'public', args: z.object({}), handler: async () => 'long' }),
  ],
});

let database: TestDatabase;
let web: TestWeb;
let port: number;
beforeAll(async () => {
  database = await testDatabase();
  web = testWeb(app, database.url);
  await web.server.listen({ port: 0, host: '127.0.0.1' });
  port = (web.server.server.address() as AddressInfo).port;
});
afterAll(async () => {
  await web.end();
  await database.end();
});

const recorded = async (): Promise<number> => {
  const sql = 'select count(*)::int as n from waybill.outbox_messages';
  return (await database.db.executeSql<{ n: number }>(sql)).rows[0]!.n;
};

function write(bytes: string): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined); // a reset while the rest is written; the answer counts
  socket.write(bytes);
  return socket;
}

/** What comes until the server ends the connection. */
async function answerTo(bytes: string): Promise<{ head: string; body: Record<string, unknown> }> {
  const socket = write(bytes);
  let text = '';
  socket.on('data', (data: Buffer) => (text += data.toString()));
  await once(socket, 'close');
  const [head = '', body = ''] = text.split('\r\n\r\n');
  return { head, body: JSON.parse(body) as Record<string, unknown> };
}

const head = 'POST /actions/record HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';
const json = '{"key":"raw"}';

describe('requests that are none', () => {
  it.each<[string, string, number, string]>([
    [
      'two lengths of one body',
      `${head}content-length: 13\r\ntransfer-encoding: chunked\r\n\r\n${json}`,
      400,
      'bad_request',
    ],
    [
      'two Content-Length',
      `${head}content-length: 13\r\ncontent-length: 14\r\n\r\n${json}`,
      400,
      'bad_request',
    ],
    [
      'bare line feeds',
      `POST /actions/record HTTP/1.1\nhost: x\ncontent-length: 13\n\n${json}`,
      400,
      'bad_request',
    ],
    ['a folded header', `${head}x-a: b\r\n c\r\ncontent-length: 13\r\n\r\n${json}`, 400, 'bad_request'],
    ['headers of 20 KB', `${head}x-a: ${'a'.repeat(20_000)}\r\n\r\n`, 431, 'headers_too_large'],
    ['TLS', '\x16\x03\x01\x02\x00\r\n\r\n', 400, 'bad_request'],
    ['more than 1 MB announced', `${head}content-length: 2000000\r\n\r\n${json}`, 413, 'body_too_large'],
    [
      'a body shorter than announced, as more follows',
      `${head}content-length: 5\r\n\r\n${json}`,
      400,
      'bad_request',
    ],
  ])('%s: a problem, the connection ends, nothing is recorded', async (_, bytes, status, code) => {
    const before = await recorded();
    const answer = await answerTo(bytes);
    const lines = answer.head.toLowerCase();
    expect(lines).toMatch(new RegExp(`^http/1.1 ${status} `));
    expect(lines).toContain('content-type: application/problem+json');
    expect(lines).toContain(`x-request-id: ${String(answer.body['requestId'])}`);
    expect(answer.body).toMatchObject({ status, code, title: expect.any(String) as string });
    expect(await recorded()).toBe(before);
  });
});

it('whoever hangs up before the answer: the action hears of it, and nothing is committed', async () => {
  const before = await recorded();
  const socket = write(
    `POST /actions/wait HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n{"key":"gone"}`,
  );
  await until(() => begun === 1, { what: 'the start of the action' });
  socket.destroy();
  await until(() => gone.length === 1, { what: 'the end of the action' });
  expect(gone).toEqual(['caller_gone']);
  // The same key again: it waits for the other transaction's end, and is recorded only if that one was undone.
  const again = await fetch(`http://127.0.0.1:${port}/actions/record`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"key":"gone"}',
  });
  expect(await again.json()).toMatchObject({ result: { duplicate: false } });
  expect(await recorded()).toBe(before + 1);
});

it('an action with the longest name is reached', async () => {
  const call = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };
  const answer = await fetch(`http://127.0.0.1:${port}/actions/${longName}`, call);
  expect(await answer.json()).toEqual({ result: 'long' });
  const tooLong = await fetch(`http://127.0.0.1:${port}/actions/${'n'.repeat(2_001)}`, call);
  expect([tooLong.status, ((await tooLong.json()) as { code: string }).code]).toEqual([414, 'path_too_long']);
});
