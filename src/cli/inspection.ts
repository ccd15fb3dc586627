// The inspection of everything but the sources: configuration, database, waiting messages, running processes.

import { migrate, MigrationError, standardSources } from '../db/migrate.ts';
import { openDatabase, type Database } from '../db/pool.ts';
import { hiddenProblem, readOnlyProblem, readStanding } from '../db/standing.ts';
import { diagnose, isMissingSchema } from '../db/diagnosis.ts';
import type { App } from '../define/app.ts';
import { webhookQueue } from '../define/messages.ts';
import { createRegistry } from '../define/registry.ts';
import { readWaitingNames, type WaitingName } from '../operate/names.ts';
import { listProviders, providerLines } from '../queues/providers.ts';
import { closedQueues, waitLine } from '../queues/waits.ts';
import { ConfigError, readConfig, type Config } from '../config/config.ts';
import { choiceProblem, eachDatabase, namesOf } from '../config/databases.ts';
import { fleet, type ProcessSeen } from '../process/heartbeat.ts';
import { warningsOf } from '../config/warnings.ts';
import { reasonOf } from '../redaction/reason.ts';
import { problem, warning, type Finding } from '../scaffold/finding.ts';
import { connectionFindings, readNeed, type ConnectionNeed } from './connection-needs.ts';
import { refuseSameDatabases } from './each-database.ts';

export function configOrFindings(env: NodeJS.ProcessEnv): Config | Finding[] {
  try {
    return readConfig(env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map((one) => problem('configuration_wrong', `${one.variable} ${one.message}`));
  }
}

export function inspectConfig(config: Config): Finding[] {
  return warningsOf(config).map(({ code, message, fix }) => warning(code, message, { fix }));
}

/** Sensitive definitions without a key to seal their payloads: nothing of them can be recorded. */
export function inspectKeys(
  { payloadKeys }: Pick<Config, 'payloadKeys'>,
  { jobs, events, listeners, endpoints }: App,
): Finding[] {
  const sensitive = [...jobs, ...events, ...listeners, ...endpoints].filter((one) => one.sensitive);
  if (sensitive.length === 0 || payloadKeys.length > 0) return [];
  const names = sensitive.map(({ kind, name }) => `${kind} ${name}`).join(', ');
  const fix =
    'set WAYBILL_PAYLOAD_KEYS=<id>:<32 bytes in base64>, such as `openssl rand -base64 32`, where messages are recorded and delivered';
  return [
    warning('payload_keys_missing', `WAYBILL_PAYLOAD_KEYS is not set, and these are sensitive: ${names}`, {
      fix,
    }),
  ];
}

/** What a cron job says of databases that WAYBILL_DATABASES does not have; undefined: nothing. */
export function unknownDatabase({ cron }: App, { databases }: Pick<Config, 'databases'>): string | undefined {
  if (databases.length === 0) return undefined;
  for (const { name, database } of cron.jobs) {
    const why = database === undefined ? undefined : choiceProblem(database, namesOf(databases));
    if (why !== undefined) return `the cron job ${name} would never run: ${why}`;
  }
  return undefined;
}

export function inspectCron(config: Config, app: App): Finding[] {
  const unknown = unknownDatabase(app, config);
  return unknown === undefined ? [] : [problem('unknown_database', unknown)];
}

export type DatabaseFindings = {
  /** With one database: all of them. */
  readonly findings: readonly Finding[];
  /** Of each of several databases; empty with one. */
  readonly databases: readonly { readonly database: string; readonly findings: readonly Finding[] }[];
};

/** Of all databases, at once: one that does not answer does not keep the doctor from the others. */
export async function inspectDatabases(config: Config, app: App | null): Promise<DatabaseFindings> {
  const all = eachDatabase(config);
  const needs: ConnectionNeed[] = [];
  const found = await Promise.all(all.map((one) => inspectDatabase(one, app, needs)));
  const connections = connectionFindings(needs);
  if (all.length === 1) return { findings: [...found[0]!, ...connections], databases: [] };
  const databases = found.map((findings, i) => ({ database: all[i]!.database ?? '', findings }));
  return { findings: [...connections, ...(await sameFindings())], databases };
}

async function sameFindings(): Promise<Finding[]> {
  try {
    await refuseSameDatabases();
    return [];
  } catch (error) {
    if (error instanceof ConfigError)
      return error.problems.map(({ message }) => problem('databases_same', message));
    if (diagnose(error)) return []; // it has a finding of its own
    throw error;
  }
}

/**
 * An unreachable database is a single finding.
 * @param needs gets what the fleet may ask of this database's server
 */
async function inspectDatabase(config: Config, app: App | null, needs: ConnectionNeed[]): Promise<Finding[]> {
  const { database } = config;
  const db = openDatabase({
    url: config.databaseUrl,
    max: 2,
    use: 'ours',
    applicationName: 'waybill doctor',
    onIdleError: () => undefined, // the statement that follows fails with the reason
    ...(database !== null && { setting: `WAYBILL_DATABASES (${database})` }),
  });
  try {
    const old = await serverFindings(db);
    const pending = await migrationFindings(db, config.app);
    return [...old, ...pending, ...(await unlessMissing(() => liveFindings(db, config, app, needs)))];
  } catch (error) {
    const why = diagnose(error)?.message;
    if (why !== undefined) return [problem('database_unreachable', why)];
    return [problem('database_failed', reasonOf(error, { bare: true }))];
  } finally {
    await db.end();
  }
}

/** Without the schema there is nothing to inspect, and the finding about migrations says so. */
async function unlessMissing(look: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look();
  } catch (error) {
    if (isMissingSchema(error)) return [];
    throw error;
  }
}

async function serverFindings(db: Database): Promise<Finding[]> {
  const standing = await readStanding(db);
  const findings: Finding[] = [];
  if (standing.number < 140_000)
    findings.push(
      problem('postgres_too_old', `the database is Postgres ${standing.version}; Waybill needs 14 or later`),
    );
  const closed = readOnlyProblem(standing);
  if (closed !== undefined) findings.push(problem('database_not_writable', closed));
  const hidden = hiddenProblem(standing);
  if (hidden !== undefined) findings.push(problem('rows_hidden', hidden));
  return findings;
}

/** Errors of the server, which have findings of their own. */
const saidBefore = ['postgres_too_old', 'database_not_writable'];

async function migrationFindings(db: Database, app: string): Promise<Finding[]> {
  try {
    const { pending } = await migrate(db, standardSources(app), { dryRun: true });
    if (pending.length === 0) return [];
    const message = `${pending.length} migrations are not applied: ${pending.join(', ')}`;
    return [problem('migrations_pending', message, { fix: 'run `waybill release`' })];
  } catch (error) {
    if (!(error instanceof MigrationError)) throw error;
    if (saidBefore.includes(error.code)) return [];
    return [problem('migrations_wrong', `${error.message} (${error.code})`)];
  }
}

async function liveFindings(
  db: Database,
  config: Config,
  app: App | null,
  needs: ConnectionNeed[],
): Promise<Finding[]> {
  const waiting = app ? unknownMessages(app, await readWaitingNames(db)) : [];
  const running = (await fleet(db)).filter(({ state }) => state !== 'gone');
  needs.push(await readNeed(db, config, running));
  return [
    ...(await closedFindings(db)),
    ...(await providerFindings(db)),
    ...waiting,
    ...(app ? unworkedQueues(app, running) : []),
  ];
}

/** A pause may be intended and a hold ends on its own. A parked queue is a problem. */
async function closedFindings(db: Database): Promise<Finding[]> {
  return (await closedQueues(db)).map((wait) => {
    const message = `${waitLine(wait)}: its messages wait`;
    const open = `\`waybill queues resume ${wait.queue}\``;
    if (wait.state !== 'parked') return warning('queue_closed', message, { fix: `${open} opens it` });
    const fix = `mend what it says; then the next probe opens the queue, or ${open} at once`;
    return problem('queue_parked', message, { fix });
  });
}

/** Mail goes by another provider, which may be forgotten. */
async function providerFindings(db: Database): Promise<Finding[]> {
  const fix =
    'mend what it says; then the next probe brings it back, or `waybill queues resume email` at once';
  return providerLines(await listProviders(db)).map((line) => warning('provider_parked', line, { fix }));
}

export function unknownMessages(app: App, waiting: readonly WaitingName[]): Finding[] {
  const registry = createRegistry(app);
  const known = ({ kind, name }: WaitingName): boolean =>
    kind === 'email' || registry[kind](name) !== undefined;
  return waiting
    .filter((one) => !known(one))
    .map(({ kind, name, messages }) =>
      problem(
        'message_unknown',
        `at least ${messages} of ${kind} ${name} wait in the outbox, which the application does not know`,
        {
          fix: `register ${kind} ${name} again, or look: \`waybill outbox list --kind ${kind} --name ${name}\``,
        },
      ),
    );
}

export function unworkedQueues(app: App, running: readonly Pick<ProcessSeen, 'queues'>[]): Finding[] {
  const webhooks = app.endpoints.map(({ kind, name }) => ({ kind, name, queue: webhookQueue }));
  const named = Map.groupBy([...app.jobs, ...app.listeners, ...webhooks], ({ queue }) => queue);
  return [...named]
    .filter(([queue]) => !running.some(({ queues }) => queues.includes(queue)))
    .map(([queue, all]) => ({
      code: 'queue_unworked',
      severity: 'warning',
      message: `${running.length === 0 ? 'no process runs, so nobody' : 'no running process'} works the queue ${queue} of ${all.map(({ kind, name }) => `${kind} ${name}`).join(', ')}`,
      fix: `start \`waybill run jobs\`, with ${queue} in WAYBILL_QUEUES if that is set`,
    }));
}
