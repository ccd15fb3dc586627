// Waiting for a condition instead of for time.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Executor } from '../../src/db/executor.ts';

export type UntilOptions = {
  /** Default 20 s. */
  readonly timeoutMs?: number;
  /** What is waited for, for the error message. */
  readonly what?: string;
};

/**
 * Asks again and again, a little less often each time, until the answer is truthy; gives that answer.
 * @throws with `what` and the last answer (or the error it threw last) when the time is up
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  options: UntilOptions = {},
): Promise<NonNullable<Exclude<T, false>>> {
  const timeout = options.timeoutMs ?? 20_000;
  const deadline = performance.now() + timeout;
  let last: unknown;
  for (let pause = 2; ; pause = Math.min(50, pause * 1.5)) {
    try {
      const answer = await condition();
      if (answer) return answer as NonNullable<Exclude<T, false>>;
      last = answer;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) break;
    await sleep(pause);
  }
  const seen = last instanceof Error ? last.message : JSON.stringify(last);
  throw new Error(`waited ${timeout} ms for ${options.what ?? 'a condition'}; last seen: ${seen}`);
}

/** Drops pg-boss's schema under load: again, when the drop is the one that a deadlock ends. */
export async function dropQueue(db: Executor): Promise<void> {
  await until(() => db.executeSql('drop schema pgboss cascade'), { what: 'the schema to be dropped' });
}
