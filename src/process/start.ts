// The start of a process with its databases: each is used as soon as it answers, and none waits for another.

import { ConfigError } from '../config/config.ts';
import { sameProblem } from '../config/databases.ts';
import { diagnose, isPassing, isSlow, slowAct } from '../db/diagnosis.ts';
import { isFromDatabase } from '../db/executor.ts';
import { isSameDatabase } from '../db/same.ts';
import type { Milliseconds } from '../ports.ts';
import { reasonOf } from '../redaction/reason.ts';
import { pause } from '../timer.ts';
import type { Host } from './host.ts';
import { reachDatabase, type Composition } from './serve.ts';

/** Composes what the process does for one database. Called again when the database went away meanwhile. */
export type Compose = (host: Host) => Promise<Composition>;

/** Maximum wait at the start for a database that is starting up, while none answers. */
const readyTimeoutMs: Milliseconds = 15_000;
/** Pause between tries: while none answers, and while another one does. */
const soonMs: Milliseconds = 500;
const laterMs: Milliseconds = 5_000;

/**
 * A database that is away, or cannot be used, is left out while another answers, and taken in when that is over. When none answers, the promises
 * reject: at once where waiting does not help, else after a while.
 * @returns for each host its services; undefined when the process was asked to end before
 */
export function startEach(
  hosts: readonly Host[],
  compose: Compose,
): readonly Promise<Composition | undefined>[] {
  const answering: Host[] = [];
  const unusable = new Set<Host>();
  const admit = createAdmission(answering);
  const deadline = hosts[0]!.clock.now() + readyTimeoutMs;

  const othersAnswer = (host: Host): boolean => answering.some((other) => other !== host);

  /** @returns what was said of it. @throws the error when nothing is left to wait for */
  function judge(host: Host, error: unknown, said: string): string {
    const { log, clock } = host;
    const trouble = troubleOf(host, error);
    if (!trouble) throw error;
    if (answering.includes(host)) answering.splice(answering.indexOf(host), 1);
    if (!trouble.isPassing) unusable.add(host);
    if (othersAnswer(host)) {
      if (said !== trouble.message)
        log.error(
          { err: error },
          `this database is left out until that is over; the others go on: ${trouble.message}`,
        );
      return trouble.message;
    }
    if (clock.now() > deadline || unusable.size === hosts.length) throw error;
    log.warn(`waiting: ${trouble.message}`);
    return '';
  }

  return hosts.map(async (host) => {
    const { log, signal } = host;
    for (let said = ''; !signal.aborted;) {
      try {
        await reachDatabase(host);
        await admit(host);
        return await compose(host);
      } catch (error) {
        if (signal.aborted) break;
        said = judge(host, error, said);
        await pause(othersAnswer(host) ? laterMs : soonMs, signal);
      }
    }
    log.info('asked to end before the database answered');
    return undefined;
  });
}

type Trouble = { readonly message: string; readonly isPassing: boolean };

/** Of several databases, any error of one leaves that one out: a row of it is locked, its schema is of another version. */
function troubleOf({ all, config }: Host, error: unknown): Trouble | undefined {
  const known = diagnose(error);
  if (known) return { message: known.message, isPassing: isPassing(known) };
  if (all.length === 1 || !isFromDatabase(error)) return undefined;
  const why = isSlow(error)
    ? slowAct
    : `is its schema of this version? Otherwise run \`waybill release --database ${config.database}\``;
  return { message: `${reasonOf(error, { bare: true })}: ${why}`, isPassing: true };
}

/** Compares each database that answers with those that answered before, one after the other. */
function createAdmission(admitted: Host[]): (host: Host) => Promise<void> {
  let last: Promise<unknown> = Promise.resolve();
  async function compare(host: Host): Promise<void> {
    for (const other of admitted.filter((one) => one !== host))
      if (await isSame(other, host)) {
        const [one, two] = host.all.filter((each) => each === other || each === host);
        throw new ConfigError([sameProblem(one!.config.database, two!.config.database)]);
      }
    if (!admitted.includes(host)) admitted.push(host);
  }
  return (host) => {
    const comparing = last.then(() => compare(host));
    last = comparing.catch(() => undefined);
    return comparing;
  };
}

/** Where one of the two went away again, they are not compared: it must not keep the other from its work. */
async function isSame(other: Host, host: Host): Promise<boolean> {
  try {
    return await isSameDatabase(other.db, host.db);
  } catch (error) {
    const trouble = diagnose(error);
    if (!trouble) throw error;
    host.log.warn(`not compared with the database ${other.config.database}: ${trouble.message}`);
    return false;
  }
}
