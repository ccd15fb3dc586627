// What a process does for one database: it reaches the database, reports a heartbeat, runs the services, and leaves.

import { hostname } from 'node:os';
import { readAllowance, sizesOf, totalOf } from '../config/connections.ts';
import { settingsInForce } from '../config/in-force.ts';
import { hiddenProblem, readOnlyProblem, readStanding } from '../db/standing.ts';
import { applicationVersion } from './application.ts';
import { noteDeploy } from './deploys.ts';
import type { Milliseconds } from '../ports.ts';
import { pause } from '../timer.ts';
import { beat, leave, removeRow, type ProcessRow } from './heartbeat.ts';
import type { Host } from './host.ts';
import type { Life } from './life.ts';
import { runLoop } from './loop.ts';
import { heartbeat, stalledLoops } from './stall.ts';

/** Work that a process does until its signal aborts. `run` resolves when it has ended cleanly. */
export type Service = { readonly name: string; run(signal: AbortSignal): Promise<void> };

export type Composition = {
  readonly services: readonly Service[];
  readonly life: Life;
  /** The application's code runs here and may block the event loop. */
  readonly runsHandlers: boolean;
};

const heartbeatMs = 2_000;
export const giveUpMs: Milliseconds = 2_000;

/** @throws the database's error when it does not answer, or has no schema of ours */
export async function reachDatabase(host: Host): Promise<void> {
  const { db, log } = host;
  await db.executeSql('select from waybill.processes limit 0');
  const standing = await readStanding(db);
  for (const problem of [readOnlyProblem(standing), hiddenProblem(standing)])
    if (problem !== undefined) log.error(problem);
  await sizePools(host);
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

export type Heartbeat = {
  /** Stops the heartbeat and deletes the row of the process. */
  leave(): Promise<void>;
  /** The same after a failure, which may be the database's: it takes a few seconds at most, less when `last` aborts, and never fails. */
  giveUp(last: AbortSignal): Promise<void>;
};

export function beginHeartbeat(host: Host): Heartbeat {
  const { db, fleet } = host;
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
  return {
    async leave() {
      beating.abort();
      await heart;
      await fleet.flush();
      await leave(db, host.id);
    },
    async giveUp(last) {
      beating.abort();
      const removed = heart.then(() => removeRow(db, host.id)).catch(() => undefined);
      await Promise.race([removed, pause(giveUpMs, last)]);
    },
  };
}

function rowOf({ id, role, version, config }: Host): ProcessRow {
  const [application, settings] = [applicationVersion(config.app), settingsInForce(config)];
  return { id, role, host: hostname(), pid: process.pid, version, application, settings };
}

/** Runs all services until the signal aborts. If one fails or ends early, the process ends after the others have finished their work. */
export async function runAll(
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

export async function endPools({ db, planned, handlers, actions }: Host): Promise<void> {
  await Promise.all([db.end(), planned.end(), handlers.end(), actions.end()]);
}
