// Is this process alive, and is it ready? The answers, and the small server that gives them for processes that are not web.

import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import { missingMigrations } from '../db/migrate.ts';
import { diagnose, type Condition } from '../db/diagnosis.ts';
import { readOnlyProblem, readStanding } from '../db/standing.ts';
import type { Host } from './host.ts';

export type Check = { readonly name: string; readonly ok: boolean; readonly detail?: string };
export type Readiness = { readonly ready: boolean; readonly checks: readonly Check[] };

/** A loop whose next step is overdue by this much stands still. */
const stallMs = 30_000;

/** Not on the way out, loops that go on, the database, its schema. `/livez` asks none of this. */
export async function readiness(host: Host): Promise<Readiness> {
  const checks: Check[] = [runningCheck(host), loopsCheck(host), ...(await databaseChecks(host))];
  return { ready: checks.every((check) => check.ok), checks };
}

function runningCheck({ signal, phase }: Host): Check {
  const detail = signal.aborted ? 'shutting down' : phase.setUp ? undefined : 'setting up';
  return { name: 'running', ok: detail === undefined, ...(detail && { detail }) };
}

/** When each loop last did its work: polled, swept, scheduled. */
function loopsCheck({ progress }: Host): Check {
  const stalled = progress.stalled(stallMs);
  const all = progress
    .loops()
    .map(({ name, ago }) => `${name} ${ago === null ? 'not yet' : `${(ago / 1000).toFixed(1)} s ago`}`);
  const detail = stalled.length > 0 ? `stalled: ${stalled.join(', ')}; ${all.join(', ')}` : all.join(', ');
  return { name: 'loops', ok: stalled.length === 0, ...(detail !== '' && { detail }) };
}

/** Of a database that answers and takes no work, the sentence says which variable leads to it. It is on a page without a key: no words of the server's. */
async function databaseChecks({ db }: Host): Promise<Check[]> {
  try {
    const problem = readOnlyProblem(await readStanding(db));
    const database = { name: 'database', ok: problem === undefined, ...(problem && { detail: problem }) };
    const missing = await missingMigrations(db);
    const detail = `not applied: ${missing.join(', ')}: run \`waybill release\``;
    const schema = { name: 'schema', ok: missing.length === 0, ...(missing.length > 0 && { detail }) };
    return [database, schema];
  } catch (error) {
    const condition = diagnose(error)?.condition;
    if (condition !== 'schema_missing')
      return [{ name: 'database', ok: false, detail: details[condition ?? 'unreachable'] ?? away }];
    const detail = 'migrations are missing: run `waybill release`';
    return [
      { name: 'database', ok: true },
      { name: 'schema', ok: false, detail },
    ];
  }
}

const away = 'the database does not answer';
const details: Readonly<Partial<Record<Condition, string>>> = {
  starting: 'the database is starting up or shutting down',
  connections_exhausted: 'the database has no connection left',
  resources_exhausted: 'the database has run out of disk or memory',
  login_refused: 'the database refuses user or password of DATABASE_URL',
  database_missing: 'the database that DATABASE_URL names does not exist',
  certificate_refused: 'TLS with the database failed: see sslmode of DATABASE_URL',
  privilege_missing: 'the role of DATABASE_URL lacks a privilege on the schema waybill: see docs/sql.md',
};

/** Compares a bearer header with a key in constant time; true when there is no key. */
export function isBearer(header: string | undefined, key: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(header ?? ''), digest(`Bearer ${key}`));
}

/**
 * Serves `/livez`, `/readyz` and `/metrics` of this one process.
 * @returns the port that it listens on, and how to end it
 */
export async function serveHealth(
  host: Host,
  port: number,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    answer(host, request.url ?? '/', request.headers.authorization, response).catch((error: unknown) => {
      host.log.error({ err: error }, 'a health request failed');
      response.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : port,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answer(
  host: Host,
  url: string,
  authorization: string | undefined,
  response: ServerResponse,
): Promise<void> {
  const path = url.split('?')[0];
  if (path === '/livez') return send(response, 200, 'application/json', JSON.stringify({ ok: true }));
  if (path === '/readyz') {
    const state = await readiness(host);
    return send(response, state.ready ? 200 : 503, 'application/json', JSON.stringify(state));
  }
  if (path !== '/metrics') return send(response, 404, 'text/plain', 'not found: /livez, /readyz, /metrics\n');
  const key = host.config.metricsKey;
  if (key !== null && !isBearer(authorization, key))
    return send(response, 401, 'text/plain', 'WAYBILL_METRICS_KEY is asked for\n');
  send(response, 200, host.metrics.registry.contentType, await host.metrics.registry.metrics());
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'x-content-type-options': 'nosniff' }).end(body);
}
