// A peer in a process of its own: it answers what the benchmark asks. Plain JavaScript, so that the project's type check does not need the
// peers' packages.

import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds that mean the same in every process of this machine. */
export const now = () => performance.timeOrigin + performance.now();

/** @param part among others `work` and `rest`: a peer works in the same process in every round, and only while it is told to */
export function serve(part) {
  process.on('message', ({ id, ask, value }) => {
    part[ask](value).then(
      (answer) => process.send({ id, answer }),
      (error) => process.send({ id, error: String(error?.stack ?? error) }),
    );
  });
  process.on('SIGTERM', () => void part.end().finally(() => process.exit(0)));
  process.on('disconnect', () => process.exit(1)); // the benchmark is gone
  process.send({ id: 0 });
}

/**
 * A transaction of an application that records messages.
 * @returns when its commit was sent, and when it was answered
 */
export async function commitOf(pool, record) {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await record(client);
    const sent = now();
    await client.query('commit');
    return { sent, answered: now() };
  } finally {
    client.release();
  }
}

/** Counts what handlers were called for, and when. */
export function createCounter() {
  const began = new Map();
  let handled = 0;
  return {
    began,
    count: (n) => void (handled += n),
    reset() {
      handled = 0;
      began.clear();
    },
    async until(n) {
      while (handled < n) await sleep(2);
    },
  };
}

/** @returns when it was found to be true */
export async function until(isTrue, everyMs = 5) {
  while (!(await isTrue())) await sleep(everyMs);
  return now();
}
