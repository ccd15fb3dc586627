// A fleet for tests: relay and workers on a database of the test's own, in one child process with the application's module.
// Nobody sleeps: `settled` resolves when the messages are.

import { setTimeout as pause } from 'node:timers/promises';
import { migrate, standardSources } from '../db/migrate.ts';
import { openDatabase, type Database } from '../db/pool.ts';
import { checkOptions } from '../define/shape.ts';
import { WaybillError } from '../errors.ts';
import type { Status } from '../message/message.ts';
import { countStatuses, readUnsettled } from '../operate/stats.ts';
import type { Milliseconds } from '../ports.ts';
import { startChild, type Child } from './child.ts';

export type TestFleetOptions = {
  /** A database that this test alone uses. Missing migrations, the engine's and the application's, are applied to it. */
  readonly databaseUrl: string;
  /** The application's module, from the working directory, as WAYBILL_APP. */
  readonly app: string;
  /** Variables of the configuration, such as SMTP_URL, and of the application. Those of the configuration are not inherited, all others are. */
  readonly env?: Readonly<Record<string, string>>;
};

export type TestFleet = {
  /**
   * Resolves when no message is left that is due within the timeout, with how many ended how.
   * @param options.timeoutMs default 30,000 ms
   * @throws WaybillError `test_fleet_unsettled` that names what is left; `test_fleet_ended` when the fleet is not there any more
   */
  settled(options?: { readonly timeoutMs?: Milliseconds }): Promise<Readonly<Record<Status, number>>>;
  /** Lets it finish what runs, and ends it. @throws WaybillError `test_fleet_ended` when it did not end well */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

const known = ['databaseUrl', 'app', 'env'];
const startMs: Milliseconds = 60_000;
const graceMs: Milliseconds = 10_000;

/**
 * Starts relay, email and job workers, and resolves when they are there.
 * @throws WaybillError `test_fleet_ended` with the last lines of its log when they end instead
 */
export async function startTestFleet(options: TestFleetOptions): Promise<TestFleet> {
  checkOptions('startTestFleet', options, known);
  const { databaseUrl, app, env = {} } = options;
  const db = openDatabase({
    url: databaseUrl,
    max: 2,
    applicationName: 'waybill test fleet',
    onIdleError: () => undefined, // the next statement fails, and says so
  });
  try {
    await migrate(db, standardSources(app));
    const child = startChild(['run', 'relay', 'email', 'jobs'], environment(options, env));
    await poll(child, startMs, () => isThere(db, child)).catch((error: unknown) => {
      child.kill('SIGKILL');
      throw error;
    });
    return fleetOf(db, child);
  } catch (error) {
    await db.end();
    throw error;
  }
}

function fleetOf(db: Database, child: Child): TestFleet {
  let closing: Promise<void> | undefined;
  async function settled(options: { readonly timeoutMs?: Milliseconds } = {}) {
    checkOptions('settled', options, ['timeoutMs']);
    const { timeoutMs = 30_000 } = options;
    await poll(child, timeoutMs, async () => {
      const left = await readUnsettled(db, timeoutMs);
      return left.length === 0 ? undefined : `not settled within ${timeoutMs} ms: ${JSON.stringify(left)}`;
    });
    return countStatuses(db);
  }
  async function end(): Promise<void> {
    child.kill('SIGTERM');
    const deadline = setTimeout(() => child.kill('SIGKILL'), 2 * graceMs);
    const how = await child.ended;
    clearTimeout(deadline);
    await db.end();
    if (how !== 0) throw ended(child, how);
  }
  const close = (): Promise<void> => (closing ??= end());
  return { settled, close, [Symbol.asyncDispose]: close };
}

/** Undefined when the process has reported itself. */
async function isThere(db: Database, { pid }: Child): Promise<string | undefined> {
  const { rows } = await db.executeSql('select from waybill.processes where pid = $1', [pid]);
  return rows.length > 0 ? undefined : `did not start within ${startMs} ms`;
}

/** @param problem asked again and again until it is undefined, which is what is waited for */
async function poll(
  child: Child,
  timeoutMs: Milliseconds,
  problem: () => Promise<string | undefined>,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (let delay = 5; ; delay = Math.min(50, delay * 1.5)) {
    if (child.hasEnded()) throw ended(child, await child.ended);
    const found = await problem();
    if (found === undefined) return;
    if (performance.now() > deadline)
      throw new WaybillError('test_fleet_unsettled', `the test fleet: ${found}\n${child.lastWords()}`);
    await pause(delay);
  }
}

function ended(child: Child, how: number | NodeJS.Signals): WaybillError {
  return new WaybillError('test_fleet_ended', `the test fleet ended with ${how}:\n${child.lastWords()}`);
}

/** What a developer's shell says of a real deployment must not reach a test. */
const ofDeployments =
  /^(WAYBILL_.*|DATABASE_URL|QUEUE_DATABASE_URL|SMTP_URL|RESEND_.*|PORT|METRICS_PORT|LOG_LEVEL)$/;

function environment({ databaseUrl, app }: TestFleetOptions, env: Readonly<Record<string, string>>) {
  const inherited = Object.entries(process.env).filter(([name]) => !ofDeployments.test(name));
  return {
    ...Object.fromEntries(inherited),
    WAYBILL_POLL_INTERVAL: '100ms',
    WAYBILL_SHUTDOWN_GRACE: `${graceMs}ms`,
    ...env,
    DATABASE_URL: databaseUrl,
    WAYBILL_APP: app,
  };
}
