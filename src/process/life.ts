// The life of an application in a process: `setup` before its first work, `teardown` after its last. It is the same for every process and command
// that runs the application's code.

import { wordsOf } from '../errors.ts';
import type { Log } from '../metrics/log.ts';

/** Hooks of the application. They may return a promise, a value or nothing. */
export type Life = { setup?(): unknown; teardown?(): unknown };

/** `setup` threw. Its own error is the cause. */
export class SetupFailed extends Error {
  override readonly name = 'SetupFailed';
  constructor(cause: unknown) {
    super(`the application's setup failed: ${wordsOf(cause)}`, {
      cause,
    });
  }
}

/**
 * Runs `body` between setup and teardown. Teardown runs once after any failure, including a setup that failed half way, because it may have opened
 * something. An error of teardown is logged, and replaces neither the result nor the first error.
 * @throws SetupFailed, and what `body` throws
 */
export async function during<T>(life: Life, log: Pick<Log, 'error'>, body: () => Promise<T>): Promise<T> {
  try {
    await setUp(life);
    return await body();
  } finally {
    await tearDown(life, log);
  }
}

/**
 * The life of an application that serves several databases: the first of them sets it up, and it is torn down once, after the work for all of them.
 */
export function createLife(log: Pick<Log, 'error'>): {
  /** @throws SetupFailed, for each caller */
  setUp(life: Life): Promise<void>;
  tearDown(): Promise<void>;
} {
  let begun: { readonly life: Life; readonly ready: Promise<void> } | undefined;
  return {
    setUp(life) {
      begun ??= { life, ready: setUp(life) };
      return begun.ready;
    },
    async tearDown() {
      if (begun) await tearDown(begun.life, log);
    },
  };
}

async function setUp(life: Life): Promise<void> {
  try {
    await life.setup?.();
  } catch (error) {
    throw new SetupFailed(error);
  }
}

async function tearDown(life: Life, log: Pick<Log, 'error'>): Promise<void> {
  try {
    await life.teardown?.();
  } catch (error) {
    log.error({ err: error }, "the application's teardown failed");
  }
}
