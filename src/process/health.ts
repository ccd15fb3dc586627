// Liveness and readiness of this process, and the small server that reports them for processes other than web.

import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import { migrationsProblem } from '../db/migrate.ts';
import { diagnose, type Condition } from '../db/diagnosis.ts';
import { hiddenProblem, readOnlyProblem, readStanding } from '../db/standing.ts';
import type { Clock, Milliseconds } from '../ports.ts';
import type { Host } from './host.ts';
import { stalledLoops } from './stall.ts';

export type Check = { readonly name: string; readonly ok: boolean; readonly detail?: string };
export type Readiness = { readonly ready: boolean; readonly checks: readonly Check[] };

/** Maximum time for an answer, whatever the database does. A database that hangs counts as one that does not answer. */
const answerMs = 1_500;
/** Requests within this time of each other share the database's answer. */
const freshMs = 500;

/** Checks that the process is not ending, its loops run, and the database and its schema are usable. `/livez` checks none of this. */
export function createReadiness(host: Host): () => Promise<Readiness> {
  const database = shared(() => databaseChecks(host), host.clock);
  return async () => {
    const asked = await soon(database(), answerMs, [{ name: 'database', ok: false, detail: away }]);
    const checks: Check[] = [runningCheck(host), loopsCheck(host), ...asked];
    return { ready: checks.every((check) => check.ok), checks };
  };
}

/** Runs one check at a time, however many callers wait and however long it takes. */
export function shared<T>(ask: () => Promise<T>, clock: Clock): () => Promise<T> {
  let at = Number.NEGATIVE_INFINITY;
  let asking: Promise<T> | undefined;
  let isOver = false;
  return () => {
    if (asking && (!isOver || clock.now() - at < freshMs)) return asking;
    isOver = false;
    asking = ask().finally(() => {
      isOver = true;
      at = clock.now();
    });
    return asking;
  };
}

/** The answer, or `otherwise` when there is none in time. */
export function soon<T>(answer: Promise<T>, ms: Milliseconds, otherwise: T): Promise<T> {
  const late = Promise.withResolvers<T>();
  const timer = setTimeout(() => late.resolve(otherwise), ms);
  return Promise.race([answer, late.promise]).finally(() => clearTimeout(timer));
}

/** @param problem undefined when there is none */
function checkOf(name: string, problem: string | undefined): Check {
  return { name, ok: problem === undefined, ...(problem !== undefined && { detail: problem }) };
}

function runningCheck({ signal, phase }: Host): Check {
  return checkOf('running', signal.aborted ? 'shutting down' : phase.setUp ? undefined : 'setting up');
}

/** When each loop last finished a step. */
function loopsCheck({ progress }: Host): Check {
  const stalled = stalledLoops(progress);
  const all = progress
    .loops()
    .map(({ name, ago }) => `${name} ${ago === null ? 'not yet' : `${(ago / 1000).toFixed(1)} s ago`}`);
  const detail = stalled.length > 0 ? `stalled: ${stalled.join(', ')}; ${all.join(', ')}` : all.join(', ');
  return { name: 'loops', ok: stalled.length === 0, ...(detail !== '' && { detail }) };
}

/**
 * If the database answers but takes no work, the sentence names the variable with its URL. The page needs no key, so it shows no text from the
 * server.
 */
async function databaseChecks({ db }: Host): Promise<Check[]> {
  try {
    const standing = await readStanding(db);
    const database = checkOf('database', readOnlyProblem(standing) ?? hiddenProblem(standing));
    return [database, checkOf('schema', await migrationsProblem(db))];
  } catch (error) {
    const condition = diagnose(error)?.condition;
    if (condition !== 'schema_missing')
      return [checkOf('database', details[condition ?? 'unreachable'] ?? away)];
    const problem = 'migrations are missing: run `waybill release`';
    return [checkOf('database', undefined), checkOf('schema', problem)];
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

/** Compares a bearer header with a key in constant time. The scheme's name is case-insensitive (RFC 9110, section 11.1). */
export function isBearer(header: string | undefined, key: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(header?.replace(/^bearer +/i, 'Bearer ') ?? ''), digest(`Bearer ${key}`));
}

/**
 * Serves `/livez`, `/readyz` and `/metrics` of this one process.
 * @returns the port that it listens on, and how to end it
 */
export async function serveHealth(
  host: Host,
  port: number,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const ready = createReadiness(host);
  const server = createServer((request, response) => {
    answer(host, ready, request.url ?? '/', request.headers.authorization, response).catch(
      (error: unknown) => {
        host.log.error({ err: error }, 'a health request failed');
        response.destroy();
      },
    );
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
  ready: () => Promise<Readiness>,
  url: string,
  authorization: string | undefined,
  response: ServerResponse,
): Promise<void> {
  const path = url.split('?')[0];
  if (path === '/livez') return send(response, 200, 'application/json', JSON.stringify({ ok: true }));
  if (path === '/readyz') {
    const state = await ready();
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
