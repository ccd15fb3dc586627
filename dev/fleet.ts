// The whole fleet on this machine: Postgres (embedded, or the one of DATABASE_URL), `release`, then the Procfile's processes.

import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../src/dev/free-port.ts';
import { openDevDatabase } from '../src/dev/database.ts';
import { readProcfile, type ProcessLine } from './procfile.ts';
import { createSupervisor, type Environment, type Supervisor } from './supervisor.ts';

export type Fleet = {
  readonly api: string;
  readonly apiKey: string;
  readonly adminKey: string;
  /** Where the mails can be read; null with another provider. */
  readonly inbox: string | null;
  readonly databaseUrl: string;
  /** Where the processes write their logs, one file each. */
  readonly logDir: string;
  /** Role and address of each process's health and metrics port. */
  readonly metrics: readonly { readonly role: string; readonly url: string }[];
  /** Ends the processes by SIGTERM, then Postgres. */
  stop(): Promise<void>;
  /** Kills at once. */
  kill(): void;
};

export type FleetOptions = {
  readonly say: (line: string) => void;
  /** When it aborts, the start is given up and running processes are stopped. */
  readonly signal: AbortSignal;
};

type Role = { readonly line: ProcessLine; readonly env: Environment; readonly url: string };

const PROJECT = fileURLToPath(new URL('..', import.meta.url));
const graceMs = 15_000;

/** @throws with the end of the log of the process that did not become ready */
export async function startFleet({ say, signal }: FleetOptions): Promise<Fleet> {
  const lines = readProcfile(join(PROJECT, 'Procfile'));
  const database = await openDevDatabase(process.env['DATABASE_URL'], PROJECT);
  const logDir = join(PROJECT, '.waybill', 'log');
  const supervisor = createSupervisor({ cwd: PROJECT, logDir, graceMs: graceMs + 2_000, say });
  const stop = async (): Promise<void> => {
    await supervisor.end();
    await database.end();
  };
  try {
    const env = sharedEnvironment(database.url);
    const roles = await Promise.all(
      lines.filter(({ name }) => name !== 'release').map((line) => toRole(line, env)),
    );
    const release = lines.find(({ name }) => name === 'release');
    if (release) await runRelease(supervisor, release, env);
    signal.throwIfAborted();
    for (const role of roles) supervisor.start(role.line, role.env);
    await Promise.all(roles.map((role) => ready(role, supervisor, signal)));
    const api = roles.find(({ line }) => line.name === 'web')?.url ?? '';
    return {
      api,
      apiKey: env['WAYBILL_API_KEY'] ?? '',
      adminKey: env['WAYBILL_ADMIN_KEY'] ?? '',
      inbox: env['WAYBILL_EMAIL_PROVIDER'] === 'inbox' ? `${api}/inbox` : null,
      databaseUrl: database.url,
      logDir,
      metrics: roles.map(({ line, url }) => ({ role: line.name, url: `${url}/metrics` })),
      stop,
      kill: supervisor.kill,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function sharedEnvironment(databaseUrl: string): Environment {
  const key = (name: string): string => process.env[name] || randomBytes(24).toString('base64url');
  return {
    WAYBILL_EMAIL_PROVIDER: 'log',
    WAYBILL_EMAIL_FROM: 'orders@shop.example',
    HOST: '127.0.0.1', // the inbox must not be readable from the network
    WAYBILL_SHUTDOWN_GRACE: `${graceMs / 1000}s`,
    ...process.env,
    DATABASE_URL: databaseUrl,
    WAYBILL_API_KEY: key('WAYBILL_API_KEY'),
    WAYBILL_ADMIN_KEY: key('WAYBILL_ADMIN_KEY'),
    WAYBILL_SUPERVISED: '1',
  };
}

async function toRole(line: ProcessLine, env: Environment): Promise<Role> {
  const isWeb = line.name === 'web';
  const port = String((isWeb ? env['PORT'] : undefined) ?? (await freePort()));
  const ports = isWeb ? { PORT: port, METRICS_PORT: undefined } : { METRICS_PORT: port };
  return { line, env: { ...env, ...ports }, url: `http://127.0.0.1:${port}` };
}

async function runRelease(supervisor: Supervisor, line: ProcessLine, env: Environment): Promise<void> {
  const code = await supervisor.run(line, env);
  if (code !== 0) throw new Error(`release ended with code ${code}:\n${supervisor.tail(line.name)}`);
}

async function ready({ line, url }: Role, supervisor: Supervisor, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + 30_000;
  const before = supervisor.failures(line.name);
  for (let last = 'no answer'; ;) {
    try {
      const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) });
      if (response.ok) return;
      last = `${response.status} ${await response.text()}`;
    } catch (error) {
      last = (error as Error).message; // it does not listen yet
    }
    signal.throwIfAborted();
    if (Date.now() > deadline || supervisor.failures(line.name) > before)
      throw new Error(
        `${line.name} did not become ready (${last}); the end of its log:\n${supervisor.tail(line.name)}`,
      );
    await sleep(50);
  }
}
