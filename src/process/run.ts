// The life of a process: configuration, database, services, signals, drain, exit. Signals abort an AbortSignal; running work may finish within the
// grace period; the result is an exit code.

import { hostname } from 'node:os';
import { diagnose, isPassing, type Diagnosis } from '../db/diagnosis.ts';
import { reasonOf } from '../redaction/reason.ts';
import { ConfigError, readConfig, type Config } from '../config/config.ts';
import { loadEnvFile } from '../config/env-loading.ts';
import { hiddenProblem, readOnlyProblem, readStanding } from '../db/standing.ts';
import { applicationVersion } from './application.ts';
import { serveHealth } from './health.ts';
import { createEnding } from './ending.ts';
import { growHeapWithWork } from './heap.ts';
import { readAllowance, sizesOf, totalOf } from '../config/connections.ts';
import { noteDeploy } from './deploys.ts';
import { beat, leave, type ProcessRow } from './heartbeat.ts';
import { createHost, type Host } from './host.ts';
import { outputTo, shieldStreams } from '../metrics/output.ts';
import { freeLoadingMemory } from './loading.ts';
import { endWhenStalled, heartbeat, killWhenBlocked, stalledLoops } from './stall.ts';
import { during, SetupFailed, type Life } from './life.ts';
import { runLoop } from './loop.ts';
import { settingsInForce } from '../config/in-force.ts';
import { warningsOf } from '../config/warnings.ts';
import { pause } from '../timer.ts';

/** Work that a process does until its signal aborts. `run` resolves when it has ended cleanly. */
export type Service = { readonly name: string; run(signal: AbortSignal): Promise<void> };

export type Composition = {
  readonly services: readonly Service[];
  readonly life: Life;
  /** The application's code runs here and may block the event loop. */
  readonly runsHandlers: boolean;
};

export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  findings: 3,
  unreachable: 69,
  stalled: 70,
  configuration: 78,
} as const;

const heartbeatMs = 2_000;
/** Time for the reader of the log to take the last lines. */
const lastLinesMs = 500;
/** Maximum wait at the start for a database that is starting up. */
const readyTimeoutMs = 15_000;

/** For a command: a problem that the schema's owner must fix is not an outage. */
export function databaseExitCode({ condition }: Diagnosis): 1 | 69 {
  const owners = condition === 'privilege_missing' || condition === 'schema_missing';
  return owners ? exitCodes.failed : exitCodes.unreachable;
}

export async function runProcess(
  role: string,
  compose: (host: Host) => Promise<Composition>,
): Promise<never> {
  shieldStreams();
  const ending = createEnding();
  const host = createHost(role, configOrExit(), ending.signal, undefined, ending.hurry);
  const { log } = host;
  let isStalled = false;
  const drain = ending.listen(host, (why) => {
    log.error(why);
    process.exit(isStalled ? exitCodes.stalled : exitCodes.failed);
  });
  endWhenStalled(host, (why) => {
    isStalled = true;
    log.fatal(`this process stands still and ends: ${why}`);
    drain('stalled');
  });
  leaveWithSupervisor(() => drain('supervisor gone')); // its watchdog's SIGTERM follows
  for (const event of ['uncaughtException', 'unhandledRejection'] as const)
    process.on(event, (error: unknown) => {
      log.fatal({ err: error }, event);
      process.exit(exitCodes.failed);
    });
  const code = await live(host, compose, drain).catch((error: unknown) => {
    const trouble = error instanceof SetupFailed ? undefined : diagnose(error); // a failed setup is not taken for a failure of our database
    const why = trouble?.message ?? reasonOf(error, { bare: true });
    log.fatal({ err: error }, `cannot go on: ${why}`);
    return trouble ? exitCodes.unreachable : exitCodes.failed;
  });
  await outputTo(1).drained(lastLinesMs);
  process.exit(isStalled ? exitCodes.stalled : code);
}

async function live(
  host: Host,
  compose: (host: Host) => Promise<Composition>,
  drain: (reason: string) => void,
): Promise<number> {
  const { config, log, db, fleet, signal } = host;
  if (!(await reachDatabase(host))) return exitCodes.ok;
  await sizePools(host);
  const { services, life, runsHandlers } = await compose(host);
  host.phase.setUp = false;
  await freeLoadingMemory();
  if (runsHandlers) killWhenBlocked(config.stallLimitMs);
  const health = config.metricsPort === null ? undefined : await serveHealth(host, config.metricsPort);
  const row = rowOf(host);
  const beating = new AbortController();
  let isNoted = false;
  const step = async (): Promise<number> => {
    for (const { name: loop } of host.progress.loops()) host.metrics.loopErrors.inc({ loop }, 0);
    if (!isNoted) await noteDeploy(db, row);
    isNoted = true;
    host.quiet.set(await beat(db, row, host.counts, stalledLoops(host.progress)));
    await fleet.flush();
    return heartbeatMs;
  };
  const heart = runLoop(
    { name: heartbeat, step, everyMs: heartbeatMs },
    { ...host, signal: beating.signal, onError: host.events.loopFailed },
  );
  growHeapWithWork();
  await during(life, log, async () => {
    host.phase.setUp = true;
    if (signal.aborted) return; // asked to end during setup: no service starts
    logStart(host, services, health?.port);
    await runAll(services, host, drain);
  });
  beating.abort();
  await heart;
  await fleet.flush();
  await leave(db, host.id);
  await health?.close();
  await Promise.all([db.end(), host.planned.end(), host.handlers.end(), host.actions.end()]);
  log.info(`${host.role}: stopped`);
  return exitCodes.ok;
}

function rowOf({ id, role, version, config }: Host): ProcessRow {
  const [application, settings] = [applicationVersion(config.app), settingsInForce(config)];
  return { id, role, host: hostname(), pid: process.pid, version, application, settings };
}

/** Runs all services until the signal aborts. If one fails or ends early, the process ends after the others have finished their work. */
async function runAll(
  services: readonly Service[],
  { signal, log }: Host,
  drain: (reason: string) => void,
): Promise<void> {
  const failures: unknown[] = [];
  await Promise.all(
    services.map(async (service) => {
      try {
        await service.run(signal);
        if (!signal.aborted) throw new Error(`the service ${service.name} ended by itself`);
      } catch (error) {
        failures.push(error);
        log.error({ err: error, service: service.name }, 'a service of this process failed');
        drain(`the service ${service.name} failed`);
      }
    }),
  );
  if (failures.length > 0) throw failures[0];
}

function logStart(host: Host, services: readonly Service[], healthPort: number | undefined): void {
  const { version, role, log, config } = host;
  for (const { message, ...about } of warningsOf(config)) log.warn(about, message);
  const names = services.map((service) => service.name);
  log.info(
    { version, node: process.version, services: names, ...doing(host), healthPort },
    `${role}: started`,
  );
}

function doing({ config, counts }: Host): object {
  if (counts.slots === 0) return { poll: config.pollIntervalMs };
  return {
    queues: counts.queues,
    slots: counts.slots,
    leaseMs: config.leaseMs,
    pollMs: config.pollIntervalMs,
  };
}

/** The server's limit decides how many connections each process takes. */
async function sizePools({ db, role, config, connections, resize, log }: Host): Promise<void> {
  const allowed = (connections.allowed = await readAllowance(db));
  const sizes = sizesOf(role, { ...config, allowed });
  resize(sizes);
  const total = totalOf(sizes);
  log.debug({ ...sizes, total, allowed }, 'connections to the database at most');
  if (config.poolMax !== null && total > config.poolMax)
    log.warn(
      { poolMax: config.poolMax, total },
      `WAYBILL_POOL_MAX is less than the role ${role} works with: it takes up to ${total}`,
    );
}

/** @returns false when the process was asked to end while it waited */
async function reachDatabase({ db, log, clock, signal }: Host): Promise<boolean> {
  const deadline = clock.now() + readyTimeoutMs;
  while (!signal.aborted) {
    try {
      await db.executeSql('select from waybill.processes limit 0');
      const standing = await readStanding(db);
      for (const problem of [readOnlyProblem(standing), hiddenProblem(standing)])
        if (problem !== undefined) log.error(problem);
      return true;
    } catch (error) {
      const trouble = diagnose(error);
      if (signal.aborted) break;
      if (!trouble || !isPassing(trouble) || clock.now() > deadline) throw error;
      log.warn(`waiting: ${trouble.message}`);
      await pause(500, signal);
    }
  }
  log.info('asked to end before the database answered');
  return false;
}

function configOrExit(): Config {
  try {
    loadEnvFile(process.env);
    return readConfig(process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(exitCodes.configuration);
  }
}

/** If the supervisor dies without a signal, nothing else would stop this process. */
function leaveWithSupervisor(gone: () => void): void {
  if (process.env['WAYBILL_SUPERVISED'] !== '1') return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    gone();
  }, 500);
  timer.unref();
}
