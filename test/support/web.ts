// The web server of an application on a test database, with the engine's own parts around it.

import type { FastifyInstance } from 'fastify';
import { createActionRunner, type ActionRunner } from '../../src/action/run.ts';
import type { App } from '../../src/define/app.ts';
import { createRegistry, type Registry } from '../../src/define/registry.ts';
import { configuredDrain } from '../../src/fleet/drain.ts';
import { createOutboxDrainRoute, type FetchHandler } from '../../src/http/drain.ts';
import { createFront } from '../../src/http/front.ts';
import { createServer } from '../../src/http/server.ts';
import { WaybillError } from '../../src/errors.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { readConfig } from '../../src/config/config.ts';
import { createHosts, type Host } from '../../src/process/host.ts';

export const apiKey = 'api-key-of-the-tests';
export const adminKey = 'admin-key-of-the-tests';

export type TestWeb = {
  readonly server: FastifyInstance;
  readonly host: Host;
  readonly registry: Registry;
  readonly runner: ActionRunner;
  readonly drain: FetchHandler;
  /** Ends the actions that run, as at the end of patience. */
  giveUp(): void;
  /** How often the relay would have been nudged. */
  nudges(): number;
  /** Where the last of these said that something was recorded; empty: anywhere. */
  nudged(): readonly string[];
  end(): Promise<void>;
};

const environment = {
  WAYBILL_API_KEY: apiKey,
  WAYBILL_ADMIN_KEY: adminKey,
  WAYBILL_EMAIL_FROM: 'shop@example.test',
  LOG_LEVEL: 'silent',
};

export function testWeb(
  app: App,
  databaseUrl: string,
  env: Record<string, string | undefined> = {},
): TestWeb {
  const config = readConfig({ DATABASE_URL: databaseUrl, ...environment, ...env });
  const [host] = createHosts('web', config, new AbortController().signal) as readonly [Host];
  return webOn(host, app);
}

export type TestFront = { readonly base: string; readonly hosts: readonly Host[]; end(): Promise<void> };

/**
 * One web server for several databases, on a port of this machine.
 * @param answering those that have answered since the start; default: all
 */
export async function testFront(
  app: App,
  databases: Readonly<Record<string, string>>,
  answering: readonly string[] = Object.keys(databases),
  env: Record<string, string> = {},
): Promise<TestFront> {
  const list = Object.entries(databases).map(([name, url]) => `${name}=${url}`);
  const config = readConfig({
    WAYBILL_DATABASES: list.join(','),
    HOST: '127.0.0.1',
    PORT: '0',
    ...environment,
    ...env,
  });
  const hosts = createHosts('web', config, new AbortController().signal);
  const front = createFront(hosts, app);
  const webs = hosts.map((host) => webOn(host, app));
  const [base = ''] = await Promise.all(
    webs
      .filter(({ host }) => answering.includes(host.config.database ?? ''))
      .map(({ host, server }) => front.add(host, server)),
  );
  return {
    base,
    hosts,
    async end() {
      await front.close();
      for (const web of webs) await web.end();
    },
  };
}

function webOn(host: Host, app: App): TestWeb {
  host.phase.setUp = true; // no application's setup runs here
  host.work.begun = true;
  const { db, log, config } = host;
  let nudges = 0;
  let nudged: readonly string[] = [];
  const notify = (places: Iterable<string> = []): void => {
    nudges += 1;
    nudged = [...places];
  };
  const registry = createRegistry(app);
  const outboxOn = (executor: Parameters<typeof createPostgresOutbox>[0]) =>
    createPostgresOutbox(executor, { maxPayloadBytes: config.maxPayloadBytes });
  const ending = new AbortController();
  const giveUp = (): void => ending.abort(new WaybillError('shutting_down', 'this process is shutting down'));
  const runner = createActionRunner({
    signal: ending.signal,
    db: host.actions,
    registry,
    log,
    notify,
    outboxOn,
    emailFrom: config.emailFrom,
  });
  const draining = configuredDrain(app, { config, db, log, handlers: host.handlers, workerId: host.id });
  const drain = createOutboxDrainRoute({ ...draining.options, secret: config.cronSecret });
  const server = createServer(host, { registry, runner, notify, drain, giveUp });
  return {
    server,
    host,
    registry,
    runner,
    drain,
    giveUp,
    nudges: () => nudges,
    nudged: () => nudged,
    async end() {
      await server.close();
      await draining.close();
      await host.handlers.end();
      await host.actions.end();
      await db.end();
    },
  };
}
