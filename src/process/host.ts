// The host: everything that a process passes to its services, so that they need no globals. A process that serves several databases has one for each.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { createKin } from '../db/careful-pool.ts';
import { byIndexAlone } from '../db/prepared.ts';
import { openDatabase, type Database } from '../db/pool.ts';
import { createMetrics, type Metrics } from '../metrics/catalogue.ts';
import { createEvents, type Events } from '../metrics/events.ts';
import { createFleetFigures, type FleetFigures } from '../metrics/fleet.ts';
import { createLog, type Log } from '../metrics/log.ts';
import { onLinesLost } from '../metrics/output.ts';
import type { Clock, Observe, Random } from '../ports.ts';
import type { Config } from '../config/config.ts';
import { eachDatabase } from '../config/databases.ts';
import { sizesOf, type Sizes } from '../config/connections.ts';
import type { Counts } from './heartbeat.ts';
import { createIsolation, type Isolation } from './isolation.ts';
import { createProgress, type Progress } from './loop.ts';
import { createQuiet, type Quiet } from './quiet.ts';

export type Host = {
  /** host:pid:random; the `claimed_by` of this process's claims. */
  readonly id: string;
  readonly role: string;
  readonly version: string;
  readonly config: Config;
  readonly db: Database;
  /** For statements that a worker sends constantly, without a transaction: its sessions keep plans (src/db/prepared.ts). */
  readonly planned: Database;
  /** For transactions of handlers. They may be long and many, and must not delay renewing a lease or settling. */
  readonly handlers: Database;
  /** For the transactions of web's actions: the application's statements need its own settings. Only web uses it. */
  readonly actions: Database;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly events: Events;
  readonly fleet: FleetFigures;
  readonly clock: Clock;
  readonly random: Random;
  readonly observe: Observe;
  readonly progress: Progress;
  /** Aborts when the process should end. */
  readonly signal: AbortSignal;
  /** Aborts when the process should end at once: running work is released. */
  readonly hurry: AbortSignal;
  /** Connections that the server allows all processes together; null: not known yet. */
  readonly connections: { allowed: number | null };
  /** Sets the maximum number of connections of this process. */
  readonly resize: (sizes: Sizes) => void;
  /** Set by the services that deliver. */
  readonly counts: Counts;
  /** `setUp`: false while the application's setup has not ended, where it has one. */
  readonly phase: { setUp: boolean };
  /** Set when the services for this database start: of several, one that was away starts later. */
  readonly work: { begun: boolean };
  /** Of the process: a suspect runs alone, whichever database it is of. */
  readonly isolation: Isolation;
  readonly quiet: Quiet;
  /** All hosts of the process, in the order of the configuration; this one is among them. */
  readonly all: readonly Host[];
};

export const systemClock: Clock = { now: () => performance.now() };

export function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** What all hosts of a process share. */
type Shared = Pick<Host, 'id' | 'isolation' | 'phase' | 'signal' | 'hurry' | 'observe'> & {
  readonly all: Host[];
};

/**
 * Builds a host for each database that the process serves, in the order of the configuration; opens no connection yet.
 * @param signal aborts when the process should end
 * @param hurry aborts when it should end at once
 */
export function createHosts(
  role: string,
  config: Config,
  signal: AbortSignal,
  hurry: AbortSignal = new AbortController().signal,
): readonly Host[] {
  const id = `${hostname()}:${process.pid}:${randomBytes(3).toString('hex')}`;
  const isolation = createIsolation(systemClock, Math.random);
  const observe = (): void => undefined;
  const shared: Shared = { id, isolation, phase: { setUp: true }, signal, hurry, observe, all: [] };
  for (const one of eachDatabase(config)) shared.all.push(createHost(role, one, shared));
  return shared.all;
}

// oxlint-disable-next-line max-lines-per-function -- one entry for each thing that a process gives to its services
function createHost(role: string, config: Config, shared: Shared): Host {
  const { id, isolation, all } = shared;
  const { database } = config;
  const ofProcess = createLog({ level: config.logLevel, role, process: id });
  const log = database === null ? ofProcess : ofProcess.child({ database });
  const metrics = createMetrics({ version: version(), ofProcess: all.length === 0 });
  if (all.length === 0) onLinesLost((lines, reason) => metrics.logLinesLost.inc({ reason }, lines));
  const clock = systemClock;
  const onIdleError = (error: Error): void => log.warn({ err: error }, 'an idle connection broke');
  const kin = createKin();
  const sizes = sizesOf(role, { ...config, allowed: null });
  const common = {
    url: config.databaseUrl,
    applicationName: `waybill ${role}`,
    onIdleError,
    kin,
    ...(database !== null && { setting: `WAYBILL_DATABASES (${database})` }),
  };
  const db = openDatabase({ ...common, use: 'ours', name: 'own', max: sizes.own });
  const planned = openDatabase({
    ...common,
    use: 'ours',
    name: 'planned',
    max: sizes.planned,
    planning: byIndexAlone,
  });
  const actions = openDatabase({ ...common, use: 'application', name: 'actions', max: sizes.actions });
  const handlers = openDatabase({
    ...common,
    use: 'application',
    name: 'handlers',
    max: sizes.handlers,
    connectMs: 30_000,
    statementTimeoutMs: 60_000,
  });
  return {
    ...shared,
    role,
    version: version(),
    config,
    db,
    planned,
    handlers,
    actions,
    log,
    metrics,
    clock,
    events: createEvents(log, metrics),
    fleet: createFleetFigures(db, metrics, clock),
    random: Math.random,
    progress: createProgress(clock),
    work: { begun: false },
    connections: { allowed: null },
    resize: (to) => kin.resize(to),
    counts: { workers: [], isolating: isolation.isolating },
    quiet: createQuiet(),
  };
}
