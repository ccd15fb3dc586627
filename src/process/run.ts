// The life of a process: configuration, databases, services, signals, drain, exit. Signals abort an AbortSignal; running work may finish within the
// grace period; the result is an exit code.

import { diagnose, type Diagnosis } from '../db/diagnosis.ts';
import { reasonOf } from '../redaction/reason.ts';
import { ConfigError, readConfig, type Config } from '../config/config.ts';
import { loadEnvFile } from '../config/env-loading.ts';
import { warningsOf, type Warning } from '../config/warnings.ts';
import { outputTo, shieldStreams } from '../metrics/output.ts';
import { createEnding } from './ending.ts';
import { serveHealth } from './health.ts';
import { growHeapWithWork } from './heap.ts';
import { createHosts, type Host } from './host.ts';
import { createLife, SetupFailed } from './life.ts';
import { freeLoadingMemory } from './loading.ts';
import { beginHeartbeat, endPools, giveUpMs, runAll, type Composition, type Heartbeat } from './serve.ts';
import { endWhenStalled, killWhenBlocked } from './stall.ts';
import { pause } from '../timer.ts';
import { startEach, type Compose } from './start.ts';

export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  findings: 3,
  unreachable: 69,
  stalled: 70,
  configuration: 78,
} as const;

/** Time for the reader of the log to take the last lines. */
const lastLinesMs = 500;
/** Time for a database to take the last counts and let the process go. */
const leaveMs = 5_000;

/** For a command: a problem that the schema's owner must fix is not an outage. */
export function databaseExitCode({ condition }: Diagnosis): 1 | 69 {
  const owners = condition === 'privilege_missing' || condition === 'schema_missing';
  return owners ? exitCodes.failed : exitCodes.unreachable;
}

export async function runProcess(role: string, compose: Compose): Promise<never> {
  shieldStreams();
  const ending = createEnding();
  const config = configOrExit();
  const hosts = createHosts(role, config, ending.signal, ending.hurry);
  const [{ log }] = hosts as readonly [Host];
  let isStalled = false;
  const drain = ending.listen(hosts[0]!, (why) => {
    log.error(why);
    process.exit(isStalled ? exitCodes.stalled : exitCodes.failed);
  });
  endWhenStalled(hosts, (why, host) => {
    isStalled = true;
    host.log.fatal(`this process stands still and ends: ${why}`);
    drain('stalled');
  });
  leaveWithSupervisor(() => drain('supervisor gone')); // its watchdog's SIGTERM follows
  for (const event of ['uncaughtException', 'unhandledRejection'] as const)
    process.on(event, (error: unknown) => {
      log.fatal({ err: error }, event);
      process.exit(exitCodes.failed);
    });
  const code = await live(hosts, compose, { drain, last: ending.last, warnings: warningsOf(config) }).catch(
    (error: unknown) => {
      const trouble = error instanceof SetupFailed ? undefined : diagnose(error); // a failed setup is not taken for a failure of our database
      const why = trouble?.message ?? reasonOf(error, { bare: true });
      log.fatal({ err: error }, `cannot go on: ${why}`);
      if (error instanceof ConfigError) return exitCodes.configuration;
      return trouble ? exitCodes.unreachable : exitCodes.failed;
    },
  );
  await outputTo(1).drained(lastLinesMs);
  process.exit(isStalled ? exitCodes.stalled : code);
}

type LifePorts = {
  /** Begins the end of the process. */
  readonly drain: (reason: string) => void;
  /** Aborts shortly before the process is ended by force. */
  readonly last: AbortSignal;
  readonly warnings: readonly Warning[];
};

/** One database may be away: the work for the others goes on, and ends well. An error that is not of a database ends them all. */
async function live(hosts: readonly Host[], compose: Compose, ports: LifePorts): Promise<number> {
  const { drain, last } = ports;
  const { log, role, config } = hosts[0]!;
  const life = createLife(log);
  const leaving: Promise<unknown>[] = [];
  const health = config.metricsPort === null ? undefined : await serveHealth(hosts, config.metricsPort);
  let once: Promise<void> | undefined;
  const works = startEach(hosts, compose).map(async (starting, i) => {
    const host = hosts[i]!;
    const composition = await starting;
    if (composition === undefined) return; // asked to end while it waited
    await (once ??= beginOnce(hosts[0]!, composition));
    const heart = beginHeartbeat(host);
    try {
      await life.setUp(composition.life);
      host.phase.setUp = true;
      // Asked to end during setup: no service starts.
      if (!host.signal.aborted) await serve(host, composition, health?.port, ports);
      leaving.push(leaveDatabase(heart, host, last));
    } catch (error) {
      leaving.push(heart.giveUp(last)); // else the fleet shows it as silent
      throw error;
    }
  });
  if (works.length > 1)
    for (const work of works) work.catch((error: unknown) => drain(reasonOf(error, { bare: true })));
  const ends = await Promise.allSettled(works);
  await life.tearDown();
  const left = await Promise.all(leaving);
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed) throw failed.reason;
  if (hosts.length === 1 && left[0] !== undefined) throw left[0];
  await health?.close();
  await Promise.race([Promise.all(hosts.map(endPools)), pause(giveUpMs, last)]);
  if (once) log.info(`${role}: stopped`);
  return exitCodes.ok;
}

/** Of several databases, one that does not answer keeps no other from its end. */
async function serve(
  host: Host,
  composition: Composition,
  healthPort: number | undefined,
  { drain, last, warnings }: LifePorts,
): Promise<void> {
  host.work.begun = true;
  // Once in a process.
  for (const { message, ...about } of host === host.all[0] ? warnings : []) host.log.warn(about, message);
  logStart(host, composition, healthPort);
  const running = runAll(composition.services, host, drain);
  if (host.all.length === 1) return running;
  const given = Promise.withResolvers<never>();
  const why = `the work for the database ${host.config.database} did not end within the grace period; what could not be recorded runs again`;
  last.addEventListener('abort', () => given.reject(new Error(why)), { once: true });
  await Promise.race([running, given.promise]);
}

/** @returns the error; undefined when the process has left the database */
async function leaveDatabase(heart: Heartbeat, { log, all }: Host, last: AbortSignal): Promise<unknown> {
  const late = async (): Promise<never> => {
    await pause(leaveMs, last);
    throw new Error('the database did not answer in time when the process left');
  };
  try {
    await Promise.race([heart.leave(), late()]);
    return undefined;
  } catch (error) {
    if (all.length > 1)
      log.error(
        { err: error },
        'this database could not be left: its fleet shows the process until an hour has passed',
      );
    return error;
  }
}

/** What is of the whole process begins with the first database that answers. */
async function beginOnce({ config, phase }: Host, { runsHandlers }: Composition): Promise<void> {
  phase.setUp = false;
  await freeLoadingMemory();
  if (runsHandlers) killWhenBlocked(config.stallLimitMs);
  growHeapWithWork();
}

function logStart(host: Host, { services }: Composition, healthPort: number | undefined): void {
  const { version, role, log } = host;
  const names = services.map((service) => service.name);
  log.info(
    { version, node: process.version, services: names, ...doing(host), healthPort },
    `${role}: started`,
  );
}

function doing({ config, counts }: Host): object {
  const { workers } = counts;
  if (workers.length === 0) return { poll: config.pollIntervalMs };
  return {
    queues: workers.flatMap(({ queues }) => queues),
    slots: workers.reduce((n, { slots }) => n + slots, 0),
    leaseMs: config.leaseMs,
    pollMs: config.pollIntervalMs,
  };
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
