// What Stryker mutates: TypeScript that decides and needs neither a database nor a process, and the tests that must notice.

export type Subject = {
  /** Path in the repository. */
  readonly file: string;
  /** Test files without a database. */
  readonly tests: readonly string[];
};

const pure = (...names: string[]): string[] => names.map((name) => `test/pure/${name}.test.ts`);

export const subjects: readonly Subject[] = [
  { file: 'src/message/backoff.ts', tests: pure('transitions', 'horizon') },
  { file: 'src/message/duplicate.ts', tests: pure('duplicate') },
  { file: 'src/email/rule.ts', tests: pure('email-rules', 'decide') },
  { file: 'src/email/decide.ts', tests: pure('email-rules', 'decide') },
  { file: 'src/queue/wake-up.ts', tests: pure('wake-up') },
  { file: 'src/delivery/failure.ts', tests: pure('failure', 'conflict') },
  { file: 'src/worker/lease.ts', tests: pure('leases') },
  { file: 'src/worker/pace.ts', tests: pure('pace') },
  { file: 'src/worker/end.ts', tests: pure('end') },
  { file: 'src/worker/slots.ts', tests: pure('slots') },
  { file: 'src/worker/where.ts', tests: pure('where') },
  { file: 'src/worker/limits.ts', tests: pure('known-limits') },
  { file: 'src/worker/permits.ts', tests: pure('permits') },
  { file: 'src/queues/rate.ts', tests: pure('rate', 'limits') },
  { file: 'src/cron/catchup.ts', tests: pure('ticks') },
  { file: 'src/message/transitions.ts', tests: pure('transitions') },
];
