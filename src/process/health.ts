// Liveness and readiness of this process, and the small server that reports them for processes other than web.

import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import { migrationsProblem } from '../db/migrate.ts';
import { diagnose, type Condition } from '../db/diagnosis.ts';
import { hiddenProblem, readOnlyProblem, readStanding } from '../db/standing.ts';
import { joined } from '../metrics/text.ts';
import type { Clock, Milliseconds } from '../ports.ts';
import type { Host } from './host.ts';
import { stalledLoops } from './stall.ts';

export type Check = { readonly name: string; readonly ok: boolean; readonly detail?: string };
export type Readiness = { readonly ready: boolean; readonly checks: readonly Check[] };

/** Maximum time for an answer, whatever the database does. A database that hangs counts as one that does not answer. */
const answerMs = 1_500;
/** Requests within this time of each other share the database's answer. */
const freshMs = 500;

/**
 * Checks that the process is not ending, its loops run, and the database and its schema are usable. `/livez` checks none of this. Of several databases
 * one may be away, or have a table locked: the process is ready as long as it works for another.
 */
export function createReadiness(hosts: readonly Host[]): () => Promise<Readiness> {
  const each = hosts.map((host) => {
    const { database } = host.config;
    const ask = shared(() => databaseChecks(host), host.clock);
    const named = (check: Check): Check =>
      hosts.length > 1 && database !== null ? { ...check, name: `${check.name} ${database}` } : check;
    return async () => {
      const asked = await soon(ask(), answerMs, [{ name: 'database', ok: false, detail: away }]);
      const [loops, answers] = [loopsCheck(host), asked.every((check) => check.ok)];
      const begun = checkOf('work', host.work.begun ? undefined : 'waits until the database can be used');
      const checks = hosts.length > 1 ? [begun, loops, ...asked] : [loops, ...asked];
      return { works: answers && begun.ok && loops.ok, checks: checks.map(named) };
    };
  });
  return async () => {
    const running = runningCheck(hosts);
    const all = await Promise.all(each.map((one) => one()));
    const checks = [running, ...all.flatMap((one) => one.checks)];
    return {
      ready: running.ok && (hosts.length > 1 ? all.some(({ works }) => works) : checks.every(({ ok }) => ok)),
      checks,
    };
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

function runningCheck(hosts: readonly Host[]): Check {
  const { signal, phase } = hosts[0]!;
  if (signal.aborted) return checkOf('running', 'shutting down');
  if (!phase.setUp) return checkOf('running', 'setting up');
  const begun = hosts.some(({ work }) => work.begun);
  return checkOf('running', begun ? undefined : 'waits until the database can be used');
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
async function databaseChecks({ db, config }: Host): Promise<Check[]> {
  try {
    const standing = await readStanding(db);
    const database = checkOf('database', readOnlyProblem(standing) ?? hiddenProblem(standing));
    return [database, checkOf('schema', await migrationsProblem(db))];
  } catch (error) {
    const condition = diagnose(error)?.condition;
    if (condition !== 'schema_missing') {
      const detail = details[condition ?? 'unreachable'] ?? away;
      const variable = config.database === null ? 'DATABASE_URL' : 'WAYBILL_DATABASES';
      return [checkOf('database', detail.replace('DATABASE_URL', variable))];
    }
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

/** The figures of all databases of a process, in Prometheus's text format. */
export async function figuresOf(
  hosts: readonly Host[],
  textOf: (host: Host) => Promise<string>,
): Promise<string> {
  const texts = hosts.map(async (host) => {
    const { databases, database } = host.config;
    return { database: databases.length > 1 ? database : null, text: await textOf(host) };
  });
  return joined(await Promise.all(texts));
}

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
  hosts: readonly Host[],
  port: number,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const ready = createReadiness(hosts);
  const server = createServer((request, response) => {
    answer(hosts, ready, request.url ?? '/', request.headers.authorization, response).catch(
      (error: unknown) => {
        hosts[0]!.log.error({ err: error }, 'a health request failed');
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
  hosts: readonly Host[],
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
  const key = hosts[0]!.config.metricsKey;
  if (key !== null && !isBearer(authorization, key))
    return send(response, 401, 'text/plain', 'WAYBILL_METRICS_KEY is asked for\n');
  const text = await figuresOf(hosts, ({ metrics }) => metrics.registry.metrics());
  send(response, 200, hosts[0]!.metrics.registry.contentType, text);
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'x-content-type-options': 'nosniff' }).end(body);
}
