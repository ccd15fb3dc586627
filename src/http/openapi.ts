// GET /openapi.json describes the actions as an OpenAPI 3.1 document made from their schemas. System actions are left out.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Action, HttpRoute } from '../define/action.ts';
import type { Registry } from '../define/registry.ts';

/** The header that names the database of an action, where there are several and the application does not find it itself. */
export const databaseHeader = 'Waybill-Database';

/** @param databases the names of the databases, where there are several */
export function addOpenApi(
  server: FastifyInstance,
  { app }: Registry,
  version: string,
  databases: readonly string[] = [],
): void {
  const document = openApi(app.actions, version, app.databaseOf === undefined ? databases : []);
  server.get('/openapi.json', async () => document);
}

/** The answer of every error. */
export const problemAnswer = {
  description:
    'What went wrong: a code of Waybill itself (docs/errors.md), or one that the action answers with (ActionError)',
  content: {
    'application/problem+json': {
      schema: {
        type: 'object',
        required: ['type', 'title', 'status', 'detail', 'code', 'requestId'],
        properties: {
          type: { type: 'string' },
          title: { type: 'string' },
          status: { type: 'integer' },
          detail: { type: 'string' },
          code: { type: 'string' },
          requestId: { type: 'string' },
          errors: {
            type: 'array',
            items: { type: 'object', properties: { path: { type: 'string' }, message: { type: 'string' } } },
          },
        },
      },
    },
  },
};

function openApi(actions: readonly Action[], version: string, databases: readonly string[]): object {
  const header = { name: databaseHeader, in: 'header', required: true, schema: { enum: databases } };
  const common = databases.length > 0 ? [header] : [];
  const open = actions.filter(({ access }) => access !== 'system');
  const paths: Record<string, Record<string, object>> = {};
  for (const action of open) {
    const routes: HttpRoute[] = [
      { method: 'POST', path: `/actions/${action.name}` },
      ...(action.http ? [action.http] : []),
    ];
    for (const { method, path } of routes)
      (paths[path.replaceAll(/:([^/]+)/g, '{$1}')] ??= {})[method.toLowerCase()] = operation(
        action,
        { method, path },
        common,
      );
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Waybill', version },
    components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
    paths,
  };
}

function operation(action: Action, { method, path }: HttpRoute, common: readonly object[]): object {
  const { $schema: _, ...args } = z.toJSONSchema(action.args, { io: 'input' });
  const result = action.result ? z.toJSONSchema(action.result, { io: 'input' }) : {};
  const inPath = [...path.matchAll(/:([^/]+)/g)].map((match) => match[1] ?? '');
  const { properties = {}, required = [] } = args;
  const inQuery =
    method === 'GET' || method === 'DELETE'
      ? Object.keys(properties).filter((name) => !inPath.includes(name))
      : [];
  const parameter = (name: string, where: string) => ({
    name,
    in: where,
    required: where === 'path' || required.includes(name),
    schema: properties[name] ?? {},
  });
  const parameters = [
    ...common,
    ...inPath.map((name) => parameter(name, 'path')),
    ...inQuery.map((name) => parameter(name, 'query')),
  ];
  const others = Object.fromEntries(Object.entries(properties).filter(([name]) => !inPath.includes(name)));
  const body = { ...args, properties: others, required: required.filter((name) => !inPath.includes(name)) };
  const schema = { type: 'object', required: ['result'], properties: { result } };
  return {
    operationId: `${method.toLowerCase()}:${path}`,
    ...(action.access === 'authenticated' ? { security: [{ key: [] }] } : {}),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(inQuery.length > 0 || method === 'GET'
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: body } } } }),
    responses: {
      200: { description: 'The result', content: { 'application/json': { schema } } },
      default: problemAnswer,
    },
  };
}
