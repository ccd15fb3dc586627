// The error that callers see. Its code is stable and listed in docs/errors.md; its message says what happened and what to do.

/** One part of an input that is wrong: where, and how. */
export type ErrorIssue = { readonly path: string; readonly message: string };

/** What callers see: a stable `code`, and a message that says what happened and what to do. */
export class WaybillError extends Error {
  override readonly name = 'WaybillError';
  /** Stable, in snake case. */
  readonly code: string;
  /** The parts of the input that are wrong. */
  readonly issues: readonly ErrorIssue[];

  /**
   * Makes an error for callers.
   * @param message what happened, and what to do
   */
  constructor(code: string, message: string, issues: readonly ErrorIssue[] = [], options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.issues = issues;
  }
}

/**
 * Whether the error is of this class, or of the same class in another copy of this package: an application in CommonJS, or a bundle, has its own.
 */
export function isOf<E extends Error>(
  error: unknown,
  kind: abstract new (...args: never[]) => E,
): error is E {
  return error instanceof kind || (error instanceof Error && error.name === kind.name);
}

export function isWaybillError(error: unknown): error is WaybillError {
  return isOf(error, WaybillError) && 'code' in error;
}

/** The message of any thrown value. It never throws, whatever the value is. */
export function wordsOf(thrown: unknown): string {
  try {
    if (thrown instanceof Error) return String(thrown.message) || thrown.name;
    return typeof thrown === 'object' && thrown !== null ? JSON.stringify(thrown) : String(thrown);
  } catch {
    return 'something that cannot be shown';
  }
}
