// Is web alive, is it ready; and the figures of the whole fleet, because nobody can scrape the workers of a PaaS.

import type { FastifyInstance } from 'fastify';
import { readiness } from '../process/health.ts';
import type { Host } from '../process/host.ts';
import { checkMetricsKey } from './auth.ts';

export function addHealth(server: FastifyInstance, host: Host): void {
  server.get('/livez', async () => ({ ok: true }));
  for (const path of ['/readyz', '/healthz'])
    server.get(path, async (_, reply) => {
      const state = await readiness(host);
      return reply.code(state.ready ? 200 : 503).send({ ...state, version: host.version });
    });
  server.get('/metrics', async (request, reply) => {
    checkMetricsKey(request, host.config.metricsKey);
    return reply.type('text/plain; version=0.0.4; charset=utf-8').send(await host.fleet.render());
  });
}
