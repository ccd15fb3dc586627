// GET /admin/openapi.json describes the admin API as an OpenAPI 3.1 document, made from what its routes say of themselves.

import type { FastifyInstance, RouteOptions } from 'fastify';
import { z } from 'zod';
import type { Role } from '../config/admin-keys.ts';
import { problemAnswer } from './openapi.ts';
import { leastRole } from './people.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the route does, in a sentence without a full stop. */
    about?: string;
    /** The parameters after the `?`. */
    query?: z.ZodType;
    body?: z.ZodType;
  }
}

type Route = {
  readonly method: string;
  readonly path: string;
  readonly about: string;
  readonly role: Role;
  readonly query: z.ZodType | undefined;
  readonly body: z.ZodType | undefined;
};

/**
 * Describes the routes that are added after it.
 * @param names of the databases, where a process serves several: each route needs one
 */
export function describeAdmin(admin: FastifyInstance, version: string, names: readonly string[] = []): void {
  const routes: Route[] = [];
  admin.addHook('onRoute', (options: RouteOptions) => {
    const { about = '', query, body } = options.config ?? {};
    for (const method of [options.method].flat())
      if (method !== 'HEAD')
        routes.push({
          method,
          path: options.url,
          about,
          role: leastRole(method, options.config?.role),
          query,
          body,
        });
  });
  admin.get('/openapi.json', { config: { about: 'This document' } }, async () =>
    adminDocument(routes, version, names),
  );
}

/** @throws nothing: a route without a description has an empty summary, which test/postgres/admin-openapi.test.ts refuses */
function adminDocument(routes: readonly Route[], version: string, names: readonly string[]): object {
  const database = { name: 'database', in: 'query', required: true, schema: { enum: names } };
  const ofAll = names.length > 0 ? [database] : [];
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes)
    (paths[route.path.replaceAll(/:([^/]+)/g, '{$1}')] ??= {})[route.method.toLowerCase()] = operation(
      route,
      ofAll,
    );
  return {
    openapi: '3.1.0',
    info: { title: 'Waybill: the admin API', version },
    components: {
      securitySchemes: {
        key: {
          type: 'http',
          scheme: 'bearer',
          description: 'WAYBILL_ADMIN_KEY or one of WAYBILL_ADMIN_KEYS',
        },
      },
    },
    security: [{ key: [] }],
    paths,
  };
}

function operation({ method, path, about, role, query, body }: Route, ofAll: readonly object[]): object {
  const inPath = [...path.matchAll(/:([^/]+)/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const inQuery = Object.entries(schemaOf(query)?.properties ?? {}).map(([name, schema]) => ({
    name,
    in: 'query',
    required: schemaOf(query)?.required?.includes(name) ?? false,
    schema,
  }));
  const parameters = [...inPath, ...inQuery, ...ofAll];
  return {
    operationId: `${method.toLowerCase()}:${path}`,
    summary: about,
    description: `Needs the role ${role}.`,
    'x-waybill-role': role,
    ...(parameters.length > 0 && { parameters }),
    ...(body && { requestBody: { content: { 'application/json': { schema: schemaOf(body) } } } }),
    responses: { 200: { description: 'The result' }, default: problemAnswer },
  };
}

function schemaOf(schema: z.ZodType | undefined) {
  if (schema === undefined) return undefined;
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input' });
  return rest;
}
