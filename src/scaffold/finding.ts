// A finding: one problem or possible problem, and what to do about it.

export type Finding = {
  readonly code: string;
  /** A problem stops something from working; a warning may be intended. */
  readonly severity: 'problem' | 'warning';
  readonly message: string;
  readonly file?: string;
  readonly line?: number;
  readonly fix?: string;
};

type More = Pick<Finding, 'file' | 'line' | 'fix'>;

export function problem(code: string, message: string, more: More = {}): Finding {
  return { code, severity: 'problem', message, ...more };
}

export function warning(code: string, message: string, more: More = {}): Finding {
  return { code, severity: 'warning', message, ...more };
}
