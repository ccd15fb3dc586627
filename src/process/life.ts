// The life of an application in a process: `setup` before it takes work, `teardown` after its last work. The same for every process and
// command that runs the application's code.

import { wordsOf } from '../errors.ts';
import type { Log } from '../metrics/log.ts';

/** Hooks of other people: they may give a promise, a value or nothing. */
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
 * Runs `body` between setup and teardown. Teardown runs once, whatever failed: also after a setup that stopped half way, which may have
 * opened something. What teardown throws is logged, and hides neither the result nor the first error.
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
