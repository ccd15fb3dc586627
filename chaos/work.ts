// One piece of work, as every subject's handlers do it: it leaves lines in a file of its process, at once and outside of any transaction. So every
// run is seen, also when the process is killed or the database is gone.

import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { now } from './clock.ts';

/** `began` is the first thing that a handler does, `did` is its effect on the world outside. The last is `ended`, or `failed` if the database took no write. */
export type What = 'began' | 'did' | 'ended' | 'failed';

export type Line = {
  /** What is to be done: `ORDER:part`. It is the same for every attempt. */
  readonly work: string;
  /** The subject's own id of the message. */
  readonly message: string;
  readonly attempt: number;
  readonly what: What;
  /** Milliseconds of the machine's monotonic clock. */
  readonly at: number;
  readonly group?: string | undefined;
};

const file = process.env['CHAOS_JOURNAL'];

export function note(line: Omit<Line, 'at'>): void {
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ ...line, at: now() })}\n`);
}

export type Given = Pick<Line, 'work' | 'message' | 'attempt' | 'group'> & {
  /** How long it takes in all, in milliseconds. */
  readonly ms: number;
};

/** @param write writes to the database, in the transaction that settles the message */
export async function doWork({ ms, ...about }: Given, write: () => Promise<unknown>): Promise<void> {
  note({ ...about, what: 'began' });
  await sleep(ms / 2);
  note({ ...about, what: 'did' });
  await sleep(ms / 2);
  try {
    await write();
  } catch (error) {
    note({ ...about, what: 'failed' });
    throw error;
  }
  note({ ...about, what: 'ended' });
}
