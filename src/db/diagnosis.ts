// Diagnosis: what an error of the database means, and what to do about it. Processes, the web and the commands all use it, so the same problem has
// the same text everywhere (Postgres documentation, appendix A; the messages of pgbouncer and Supavisor).

import { isFromDatabase, settingOf } from './executor.ts';

/**
 * - `unreachable`: no answer, or the connection was lost
 * - `starting`: the server is starting up or shutting down
 * - `connections_exhausted`: the server or the pooler takes no more connections
 * - `resources_exhausted`: disk or memory of the server is used up
 * - `read_only`: a standby, or a database that was made read-only
 * - `login_refused`: user, password or pg_hba.conf
 * - `database_missing`: the server has no database of that name
 * - `certificate_refused`: TLS
 * - `privilege_missing`: the role lacks a privilege
 * - `schema_missing`: migrations have not run, or a part of the schema was dropped
 */
export type Condition =
  | 'unreachable'
  | 'starting'
  | 'connections_exhausted'
  | 'resources_exhausted'
  | 'read_only'
  | 'login_refused'
  | 'database_missing'
  | 'certificate_refused'
  | 'privilege_missing'
  | 'schema_missing';

export type Diagnosis = {
  readonly condition: Condition;
  /** One sentence for people. It names the variable that holds the URL, and never the URL itself. */
  readonly message: string;
};

/** Conditions that may end without intervention, so that waiting makes sense. */
const passing: readonly Condition[] = [
  'unreachable',
  'starting',
  'connections_exhausted',
  'resources_exhausted',
  'read_only',
  'schema_missing',
];

export function isPassing({ condition }: Diagnosis): boolean {
  return passing.includes(condition);
}

/** @returns undefined when nothing is wrong with the database itself: the statement is wrong, or the error came from elsewhere */
export function diagnose(error: unknown): Diagnosis | undefined {
  const state = sqlState(error);
  const words = messageOf(error);
  const condition = state === undefined ? byCause(error, words) : byState(state, words);
  return condition && { condition, message: sentenceOf(condition, error, words) };
}

/** Poolers have their own texts for this, with codes that mean something else. */
const noConnection =
  /no more connections allowed|max_client_conn|max clients reached|MaxClients|too many clients|connections of this process are in use/i;

function byState(state: string, words: string): Condition | undefined {
  if (state === '53300' || noConnection.test(words)) return 'connections_exhausted';
  if (state.startsWith('53')) return 'resources_exhausted';
  if (state === '57P03') return 'starting';
  if (state === '25006') return 'read_only';
  if (state === '28P01' || state === '28000') return 'login_refused';
  if (state === '3D000') return 'database_missing';
  if (state === '08P01' && /no such database/i.test(words)) return 'database_missing';
  if (state === '08P01' && /no such user|password authentication/i.test(words)) return 'login_refused';
  if (/^(08|57P0)/.test(state)) return 'unreachable';
  if (state === '55000' && /not currently accepting connections/.test(words)) return 'starting';
  if (state === '42501') return 'privilege_missing';
  return missingSchema.includes(state) ? 'schema_missing' : undefined;
}

/** An application's error with a code of its own says nothing about the database, unless what caused it was a database that takes no work. */
function byCause(error: unknown, words: string): Condition | undefined {
  const state = sqlState(factsOf(error).cause);
  if (state === undefined || !isFromDatabase(error)) return bySocket(error, words);
  const condition = byState(state, words);
  return condition && notTaking.includes(condition) ? condition : undefined;
}

/** Without a SQLSTATE the server did not answer: a socket error, TLS, or one of pg's timeouts. */
function bySocket(error: unknown, words: string): Condition | undefined {
  if (!isFromDatabase(error)) return undefined;
  if (/CERT|SELF_SIGNED|ALTNAME|ERR_TLS|ERR_SSL/.test(codeOf(error))) return 'certificate_refused';
  if (/does not support SSL/.test(words)) return 'certificate_refused';
  if (/^SASL|password must be a string/.test(words)) return 'login_refused';
  if (noConnection.test(words)) return 'connections_exhausted';
  return 'unreachable';
}

function sentenceOf(condition: Condition, error: unknown, words: string): string {
  const setting = settingOf(error);
  switch (condition) {
    case 'unreachable':
      return unreachableSentence(setting, codeOf(error), words);
    case 'starting':
      return `the database is starting up or shutting down (${words}): try again in a moment`;
    case 'connections_exhausted':
      return `the database has no connection left (${words}): fewer processes, a lower WAYBILL_POOL_MAX, a pooler, or a higher max_connections`;
    case 'resources_exhausted':
      return `the database has run out of disk or memory (${words})`;
    case 'read_only':
      return `the database of ${setting} is read-only (${words}): a standby, or default_transaction_read_only is on. Let ${setting} name the primary`;
    case 'login_refused':
      return loginSentence(setting, words);
    case 'database_missing':
      return `the database that ${setting} names does not exist: ${words}`;
    case 'certificate_refused':
      return `TLS with the database failed (${codeOf(error) || words}): see sslmode and sslrootcert of ${setting}`;
    case 'privilege_missing':
      return `the database role lacks a privilege: ${words}; grant it (docs/sql.md), or use the owner's role`;
    case 'schema_missing':
      return `the database has no schema of this version yet, or a part of it is gone (${words}): run \`waybill release\``;
  }
}

function unreachableSentence(setting: string, code: string, words: string): string {
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `the host in ${setting} is unknown (${code})`;
  if (code === 'ECONNREFUSED') return `nobody listens at the host and port of ${setting} (${code})`;
  if (code === 'ENOENT') return `there is no socket where ${setting} says (${code}): ${words}`;
  if (code === 'EACCES') return `this user may not open the socket that ${setting} names (${code}): ${words}`;
  return `the database cannot be reached: ${words}`;
}

function loginSentence(setting: string, words: string): string {
  if (/pg_hba\.conf/.test(words))
    return `the database server takes no connection like this from here: ${words}. See its pg_hba.conf, and sslmode in ${setting}`;
  if (/role .* does not exist|not permitted to log in|must be a string/.test(words))
    return `the database refused user or password of ${setting}: ${words}`;
  return `the database refused user or password of ${setting}`;
}

/** A class of SQLSTATE begins with a digit or is one of these four. Node's EPIPE is not a SQLSTATE. */
const states = /^(?:\d[0-9A-Z]|F0|HV|P0|XX)[0-9A-Z]{3}$/;

/**
 * The SQLSTATE of an error of Postgres (documentation, appendix A), five characters, or undefined. A query builder may have wrapped the driver's
 * error in one without a code.
 */
export function sqlState(error: unknown): string | undefined {
  try {
    const { code, cause, meta } = factsOf(error);
    const given = codeInPrisma(meta) ?? code ?? factsOf(cause).code;
    return typeof given === 'string' && states.test(given) ? given : undefined;
  } catch {
    return undefined; // a handler may throw an object whose getters throw: that is no error of Postgres
  }
}

/** The database cannot be reached or takes no work. The statement is not at fault. */
export function isUnreachable(error: unknown): boolean {
  const condition = diagnose(error)?.condition;
  return condition !== undefined && notTaking.includes(condition);
}

const notTaking: readonly Condition[] = [
  'unreachable',
  'starting',
  'connections_exhausted',
  'resources_exhausted',
  'certificate_refused',
];

/** The relation or schema does not exist: migrations have not run, or it was dropped. */
export function isMissingSchema(error: unknown): boolean {
  return missingSchema.includes(sqlState(error) ?? '');
}

const missingSchema = ['42P01', '3F000', '42883'];

/** A serialization failure or a deadlock: the transaction may succeed when it is run again (Postgres documentation, 13.5). */
export function isConflict(error: unknown): boolean {
  return ['40001', '40P01'].includes(sqlState(error) ?? '');
}

/** A statement reached its time limit or was cancelled, or waited for a lock for too long. */
export function isSlow(error: unknown): boolean {
  return ['57014', '55P03'].includes(sqlState(error) ?? '');
}

/** What to tell a person whose act ended so. */
export const slowAct =
  'the database gave a statement up, because it waited for a lock or took too long; the statement changed nothing. Try again, or look in pg_stat_activity for a transaction that has been open for long';

/** A standby, or a database that was made read-only: this server takes no work. */
export function isReadOnly(error: unknown): boolean {
  return sqlState(error) === '25006';
}

/** A host with several addresses fails with one error for each. A query builder wraps the driver's error. */
function innermost(error: unknown): unknown {
  if (error instanceof AggregateError && error.errors.length > 0) return innermost(error.errors[0]);
  const { code, cause } = factsOf(error);
  return code === undefined && cause instanceof Error ? innermost(cause) : error;
}

function codeOf(error: unknown): string {
  const { code } = factsOf(innermost(error));
  return typeof code === 'string' ? code : '';
}

export function messageOf(error: unknown): string {
  const inner = innermost(error);
  return inner instanceof Error ? inner.message : String(inner);
}

/** Prisma's errors have codes of their own, five characters too. Postgres's is deep in `meta`, where its adapter or, before 7, its engine puts it. */
function codeInPrisma(meta: unknown): unknown {
  const { driverAdapterError, code } = factsOf(meta);
  return factsOf(factsOf(driverAdapterError).cause).originalCode ?? code;
}

type Fact = 'code' | 'cause' | 'meta' | 'driverAdapterError' | 'originalCode';

function factsOf(error: unknown): { readonly [F in Fact]?: unknown } {
  return typeof error === 'object' && error !== null ? error : {};
}
