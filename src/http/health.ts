// The health routes of the web process, and the metrics of the whole fleet, because workers on a PaaS cannot be scraped.

import type { FastifyInstance } from 'fastify';
import { createReadiness, figuresOf, shared, soon, type Check } from '../process/health.ts';
import { standstills, type Standstill } from '../process/heartbeat.ts';
import type { Host } from '../process/host.ts';
import { checkMetricsKey } from './auth.ts';

const answerMs = 1_500;

/** Checks the other processes. It does not affect `ready`: the web process can serve requests while a worker is stalled. */
function fleetCheck(still: readonly Standstill[]): Check {
  const detail = still.map(({ id, role, stalled, silentSeconds }) =>
    stalled.length > 0
      ? `${role} ${id}: stalled: ${stalled.join(', ')}`
      : `${role} ${id}: silent for ${Math.round(silentSeconds)} s`,
  );
  return { name: 'fleet', ok: still.length === 0, ...(detail.length > 0 && { detail: detail.join('; ') }) };
}

/** For all databases of the process. */
export function addHealth(server: FastifyInstance, { all: hosts, clock, version, config }: Host): void {
  const readiness = createReadiness(hosts);
  const silent = shared(async () => {
    const each = hosts.map(({ db }) => standstills(db).catch(() => []));
    const found = (await Promise.all(each)).flat();
    return [...new Map(found.map((one) => [one.id, one])).values()];
  }, clock);
  server.get('/livez', async () => ({ ok: true }));
  for (const path of ['/readyz', '/healthz'])
    server.get(path, async (_, reply) => {
      const [{ ready, checks }, still] = await Promise.all([readiness(), soon(silent(), answerMs, [])]);
      return reply.code(ready ? 200 : 503).send({ ready, checks: [...checks, fleetCheck(still)], version });
    });
  server.get('/metrics', async (request, reply) => {
    checkMetricsKey(request, config.metricsKey);
    const text = await figuresOf(hosts, ({ fleet }) => fleet.render());
    return reply.type('text/plain; version=0.0.4; charset=utf-8').send(text);
  });
}
