// How a command ends: the exit codes, and the code and one readable message for each error. The message has no stack and no password.

import { CommanderError } from 'commander';
import { diagnose, isSlow, slowAct } from '../db/diagnosis.ts';
import { MigrationError } from '../db/migrate.ts';
import { isWaybillError } from '../errors.ts';
import { reasonOf } from '../redaction/reason.ts';
import { ConfigError } from '../config/config.ts';
import { databaseExitCode, exitCodes } from '../process/run.ts';

export { exitCodes };

/** The request cannot be carried out as it was given: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** A remote project did not carry out a request: exit code 1, or 69 when it could not be reached. */
export class RemoteError extends Error {
  override readonly name = 'RemoteError';
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Codes of errors that wrong arguments cause, whatever is in the database. */
const wrongInput = /^(invalid_.*|empty_range|filter_required|queues_unmapped)$/;

const narrower = '. A search takes less with --since, --to or --tag';

/** `message` is undefined when it was already shown. */
export type Ending = { readonly code: (typeof exitCodes)[keyof typeof exitCodes]; readonly message?: string };

/** @param isSearch the command takes filters of messages */
export function endingOf(error: unknown, isSearch: boolean): Ending {
  if (error instanceof CommanderError) return { code: error.exitCode === 0 ? exitCodes.ok : exitCodes.usage };
  if (error instanceof UsageError) return withCode(exitCodes.usage, error);
  if (error instanceof RemoteError)
    return withCode(error.code === 'unreachable' ? exitCodes.unreachable : exitCodes.failed, error);
  if (isWaybillError(error) && error.code === 'source_unreachable')
    return withCode(exitCodes.unreachable, error);
  if (isWaybillError(error))
    return withCode(wrongInput.test(error.code) ? exitCodes.usage : exitCodes.failed, error);
  if (error instanceof MigrationError)
    return withCode(error.code === 'database_not_writable' ? exitCodes.unreachable : exitCodes.failed, error);
  if (error instanceof ConfigError) return { code: exitCodes.configuration, message: error.message };
  if (isSlow(error))
    return { code: exitCodes.failed, message: `${slowAct}${isSearch ? narrower : ''} (database_slow)` };
  const trouble = diagnose(error);
  if (trouble) return { code: databaseExitCode(trouble), message: trouble.message };
  return { code: exitCodes.failed, message: reasonOf(error) };
}

function withCode(code: Ending['code'], error: Error & { readonly code: string }): Ending {
  return { code, message: `${error.message} (${error.code})` };
}
