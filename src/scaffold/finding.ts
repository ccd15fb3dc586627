// A finding: one thing that is wrong, or may be, and what to do about it.

export type Finding = {
  readonly code: string;
  /** A problem stops something from working; a warning may be meant. */
  readonly severity: 'problem' | 'warning';
  readonly message: string;
  readonly file?: string;
  readonly line?: number;
  /** What a person does about it. */
  readonly fix?: string;
};
