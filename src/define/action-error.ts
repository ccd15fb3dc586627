// ActionError is the error by which an action answers its caller with an HTTP status, a code and a message.

import { WaybillError } from '../errors.ts';
import { checkOptions } from '../options.ts';

/** The 4xx statuses after which a repeated call may succeed. */
const passing = [408, 425, 429];

/**
 * Throw it in an action to answer the caller: `application/problem+json` with this status, code and message.
 * The transaction rolls back. Unknown errors of a handler answer 500 without details.
 */
export class ActionError extends Error {
  override readonly name = 'ActionError';
  readonly status: number;
  readonly code: string;

  /**
   * @param status 400 … 599
   * @param code in snake case, such as `order_not_found`; callers may rely on it
   * @param message the text for the caller; must not hold secrets
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

/** Recognises errors of another copy of this package too: an application in CommonJS loads its own. */
export function isActionError(error: unknown): error is ActionError {
  if (error instanceof ActionError) return true;
  if (!(error instanceof Error) || error.name !== 'ActionError') return false;
  const { status, code } = error as Partial<ActionError>;
  return problemOf(status, code, error.message) === undefined;
}

/** Whether a message whose handler or action threw this error should be retried. */
export function mayPass({ status }: ActionError): boolean {
  return status >= 500 || passing.includes(status);
}
