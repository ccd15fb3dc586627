// How a command ends: the exit codes, and for each error the code and one readable message. Never a stack, never a password.

import { CommanderError } from 'commander';
import { isMissingSchema, isUnreachable, sqlState } from '../db/transaction.ts';
import { isWaybillError } from '../outbox/errors.ts';
import { ConfigError } from '../process/config.ts';
import { exitCodes } from '../process/run.ts';

export { exitCodes };

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** What the user asked for cannot be done like this: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Another machine did not do what was asked of it: exit code 1, or 69 when it could not be reached. */
export class RemoteError extends Error {
  override readonly name = 'RemoteError';
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What the engine refuses because the arguments are wrong, whatever is in the database. */
const wrongInput = /^(invalid_.*|empty_range|filter_required)$/;

/** `message` is undefined when it was shown already. */
export type Ending = { readonly code: ExitCode; readonly message?: string };

export function endingOf(error: unknown): Ending {
  if (error instanceof CommanderError) return { code: error.exitCode === 0 ? exitCodes.ok : exitCodes.usage };
  if (error instanceof UsageError)
    return { code: exitCodes.usage, message: `${error.message} (${error.code})` };
  if (error instanceof RemoteError) {
    const code = error.code === 'unreachable' ? exitCodes.unreachable : exitCodes.failed;
    return { code, message: `${error.message} (${error.code})` };
  }
  if (isWaybillError(error) && wrongInput.test(error.code))
    return { code: exitCodes.usage, message: `${error.message} (${error.code})` };
  if (isWaybillError(error)) return { code: exitCodes.failed, message: `${error.message} (${error.code})` };
  if (error instanceof ConfigError) return { code: exitCodes.configuration, message: error.message };
  const connection = connectionMessage(error);
  if (connection !== undefined) return { code: exitCodes.unreachable, message: connection };
  if (isMissingSchema(error))
    return {
      code: exitCodes.failed,
      message: 'the database has no schema of this version yet: run `waybill release`',
    };
  if (sqlState(error) === '42501')
    return {
      code: exitCodes.failed,
      message: `the database role lacks a privilege: ${messageOf(error)}; grant it, or use the owner's role`,
    };
  return { code: exitCodes.failed, message: messageOf(error) };
}

/** One sentence for each way in which a database cannot be reached; undefined when that is not the trouble. */
export function connectionMessage(error: unknown): string | undefined {
  const state = sqlState(error);
  if (state === '28P01' || state === '28000') return 'the database refused user or password of DATABASE_URL';
  if (state === '3D000') return `the database that DATABASE_URL names does not exist: ${messageOf(error)}`;
  if (state?.startsWith('53'))
    return 'the database has no connection left: lower WAYBILL_CONCURRENCY or the number of processes';
  if (state === '57P03') return 'the database is starting up or shutting down: try again in a moment';
  const code = (first(error) as { code?: unknown } | null)?.code;
  if (code === 'ENOTFOUND') return 'the host in DATABASE_URL is unknown (ENOTFOUND)';
  if (code === 'ECONNREFUSED') return 'nobody listens at the host and port of DATABASE_URL (ECONNREFUSED)';
  if (typeof code === 'string' && /CERT|SELF_SIGNED/.test(code))
    return `the certificate of the database is not trusted (${code}): see sslmode and sslrootcert of DATABASE_URL`;
  return isUnreachable(first(error)) ? `the database cannot be reached: ${messageOf(error)}` : undefined;
}

/** A host with several addresses fails with one error for each of them. */
function first(error: unknown): unknown {
  return error instanceof AggregateError ? error.errors[0] : error;
}

function messageOf(error: unknown): string {
  const cause = first(error);
  return cause instanceof Error ? cause.message : String(cause);
}
