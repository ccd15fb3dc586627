// A fleet for tests: relay and workers on a database of the test's own, in one child process with the application's module. Tests do not sleep:
// `settled` resolves when the messages are settled.

import { setTimeout as pause } from 'node:timers/promises';
import { migrate, standardSources } from '../db/migrate.ts';
import { openDatabase, type Database } from '../db/pool.ts';
import { checkOptions } from '../define/shape.ts';
import { WaybillError } from '../errors.ts';
import type { Status } from '../message/message.ts';
import { countStatuses, readUnsettled } from '../operate/stats.ts';
import type { Milliseconds } from '../ports.ts';
import { startChild, type Child } from './child.ts';

/** What `startTestFleet` takes. */
export type TestFleetOptions = {
  /** A database that only this test uses. Missing migrations, the engine's and the application's, are applied to it. */
  readonly databaseUrl: string;
  /** Path of the application's module from the working directory, as in WAYBILL_APP. */
  readonly app: string;
  /** Variables of the configuration, such as SMTP_URL, and of the application. All variables but the configuration's are inherited. */
  readonly env?: Readonly<Record<string, string>>;
};

/** A fleet that runs for a test. `await using` closes it. */
export type TestFleet = {
  /**
   * Resolves when no message is left that is due within the timeout, with the number of messages in each status.
   * @param options.timeoutMs default 30,000 ms
   * @throws WaybillError `test_fleet_unsettled` that names the messages that are left; `test_fleet_ended` when the fleet has ended
   */
  settled(options?: { readonly timeoutMs?: Milliseconds }): Promise<Readonly<Record<Status, number>>>;
  /** Lets running messages finish, then ends the fleet. @throws WaybillError `test_fleet_ended` when its exit code is not 0 */
  close(): Promise<void>;
  /** The same as `close`. */
  [Symbol.asyncDispose](): Promise<void>;
};

const known = ['databaseUrl', 'app', 'env'];
const startMs: Milliseconds = 60_000;
const graceMs: Milliseconds = 10_000;

/**
 * Starts relay, email and job workers, and resolves when they run.
 * @throws WaybillError `test_fleet_ended` with the last lines of its log when they end instead; `test_fleet_unsettled` after 60 s
 */
export async function startTestFleet(options: TestFleetOptions): Promise<TestFleet> {
  checkOptions('startTestFleet', options, known);
  const { databaseUrl, app, env = {} } = options;
  const db = openDatabase({
    url: databaseUrl,
    max: 2,
    applicationName: 'waybill test fleet',
    onIdleError: () => undefined, // the next statement fails with the reason
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

/** Undefined when the process has written its row. */
async function isThere(db: Database, { pid }: Child): Promise<string | undefined> {
  const { rows } = await db.executeSql('select from waybill.processes where pid = $1', [pid]);
  return rows.length > 0 ? undefined : `did not start within ${startMs} ms`;
}

/** @param problem called again and again until it returns undefined */
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

/** Settings of a real deployment in a developer's shell must not reach a test. */
const ofDeployments =
  /^(?:(?:WAYBILL|RESEND|POSTMARK|SENDGRID|MAILGUN)_.*|DATABASE_URL|QUEUE_DATABASE_URL|SMTP_URL|PORT|METRICS_PORT|LOG_LEVEL)$/;

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
