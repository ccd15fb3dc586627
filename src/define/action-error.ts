// The error by which an action answers its caller: a status of HTTP, a code and words of the application's own.

import { WaybillError } from '../errors.ts';
import { checkOptions } from '../options.ts';

/** Statuses after which the same call may well succeed: 4xx of this sort, and 5xx. */
const passing = [408, 425, 429];

/**
 * Thrown in an action, it is the answer: `application/problem+json` with this status, code and message. Nothing of the action is kept.
 * Other errors answer 500 and tell the caller nothing.
 */
export class ActionError extends Error {
  override readonly name = 'ActionError';
  readonly status: number;
  readonly code: string;

  /**
   * @param status 400 … 599
   * @param code in snake case, such as `order_not_found`; callers may rely on it
   * @param message what the caller reads; not for secrets
   * @throws WaybillError `action_error_invalid`
   */
  constructor(status: number, code: string, message: string, options?: ErrorOptions) {
    if (options !== undefined) checkOptions('ActionError', options, ['cause']);
    super(typeof message === 'string' ? message : '', options);
    const wrong = problemOf(status, code, message);
    if (wrong !== undefined)
      throw new WaybillError(
        'action_error_invalid',
        `ActionError(status, code, message): ${wrong}, such as new ActionError(404, 'order_not_found', 'There is no such order')`,
        [],
        { cause: this },
      );
    this.status = status;
    this.code = code;
  }
}

function problemOf(status: unknown, code: unknown, message: unknown): string | undefined {
  if (!Number.isInteger(status) || (status as number) < 400 || (status as number) > 599)
    return 'status must be a whole number from 400 to 599';
  if (typeof code !== 'string' || !/^[a-z][a-z0-9_]{0,99}$/.test(code))
    return 'code must be in snake case, with 1 to 100 lower-case letters, digits and underscores';
  if (typeof message !== 'string' || message.trim() === '')
    return 'message must be a text that says what happened';
  return undefined;
}

/** Also of another copy of this package: an application in CommonJS has one. */
export function isActionError(error: unknown): error is ActionError {
  if (error instanceof ActionError) return true;
  if (!(error instanceof Error) || error.name !== 'ActionError') return false;
  const { status, code } = error as Partial<ActionError>;
  return problemOf(status, code, error.message) === undefined;
}

/** For an action that a message carries out, and for handlers: whether another attempt makes sense. */
export function mayPass({ status }: ActionError): boolean {
  return status >= 500 || passing.includes(status);
}
