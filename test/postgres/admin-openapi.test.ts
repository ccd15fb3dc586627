// The document of the admin API. Real: Postgres and the web server. Doubled: nothing.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { defineApp } from '../../src/index.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { adminKey, testWeb, type TestWeb } from '../support/web.ts';

type Operation = {
  readonly operationId: string;
  readonly summary: string;
  readonly 'x-waybill-role': string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
  readonly requestBody?: {
    readonly content: Record<string, { readonly schema: { readonly properties: object } }>;
  };
};
type Document = { readonly openapi: string; readonly paths: Record<string, Record<string, Operation>> };

let database: TestDatabase;
let web: TestWeb;
let document: Document;
beforeAll(async () => {
  database = await testDatabase();
  web = testWeb(defineApp({}), database.url);
  const headers = { authorization: `Bearer ${adminKey}` };
  document = (await web.server.inject({ url: '/admin/openapi.json', headers })).json<Document>();
});
afterAll(async () => {
  await web.end();
  await database.end();
});

const operations = (): [string, Operation][] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [
      `${method} ${path}`,
      operation,
    ]),
  );

it('has every route, each with what it does and the role that it needs', () => {
  expect(document.openapi).toBe('3.1.0');
  const names = operations().map(([name]) => name);
  for (const name of [
    'get /admin/outbox',
    'post /admin/bulk',
    'get /admin/audit',
    'delete /admin/suppressions/{address}',
    'get /admin/cron/runs',
  ])
    expect(names).toContain(name);
  for (const [name, { summary, 'x-waybill-role': role }] of operations()) {
    expect([name, summary]).toEqual([name, expect.stringMatching(/^\p{Lu}.{8,120}[^.]$/u)]);
    expect(['read', 'operate', 'admin']).toContain(role);
  }
  const ids = operations().map(([, { operationId }]) => operationId);
  expect(new Set(ids).size).toBe(ids.length);
});

it('names each part of a path as a parameter, and has the bodies of acts', () => {
  for (const [name, { parameters = [] }] of operations()) {
    const parts = [...name.matchAll(/\{([^}]+)\}/g)].map(([, part]) => part);
    expect([name, parameters.filter((one) => one.in === 'path').map((one) => one.name)]).toEqual([
      name,
      parts,
    ]);
  }
  const pause = document.paths['/admin/queues/{name}/pause']!['post']!;
  expect(Object.keys(pause.requestBody!.content['application/json']!.schema.properties)).toEqual(
    expect.arrayContaining(['reason', 'until', 'group']),
  );
  const list = document.paths['/admin/outbox']!['get']!;
  expect(list.parameters!.map((one) => one.name)).toEqual(
    expect.arrayContaining(['status', 'to', 'tag', 'limit', 'cursor']),
  );
});

it('documents the parameters of each reading route that looks at them, with the words that they take', async () => {
  const headers = { authorization: `Bearer ${adminKey}` };
  for (const [path, { get }] of Object.entries(document.paths)) {
    if (!get || path === '/admin/events') continue; // which takes none
    const url = `${path.replaceAll(/\{[^}]+\}/g, '00000000-0000-7000-8000-000000000000')}?noSuchThing=1`;
    const { statusCode } = await web.server.inject({ url, headers });
    const inQuery = (get.parameters ?? []).filter((one) => one.in === 'query');
    expect([path, inQuery.length > 0]).toEqual([path, statusCode === 400]);
  }
  const parameterOf = (path: string, name: string): string =>
    JSON.stringify(document.paths[path]!['get']!.parameters!.find((one) => one.name === name));
  for (const [path, name, word] of [
    ['/admin/outbox', 'status', 'delivered'],
    ['/admin/outbox', 'kind', 'email'],
    ['/admin/outbox', 'cause', 'exhausted'],
    ['/admin/outbox', 'outcome', 'ambiguous'],
    ['/admin/outbox', 'order', 'oldest'],
    ['/admin/outbox', 'payload', 'payload.customer.id=7'],
    ['/admin/outbox/groups', 'by', 'tag'],
    ['/admin/series', 'window', '24h'],
    ['/admin/series', 'name', 'recorded'],
  ] as const)
    expect(parameterOf(path, name)).toContain(word);
});

it('needs a key', async () => {
  expect((await web.server.inject({ url: '/admin/openapi.json' })).statusCode).toBe(401);
});
