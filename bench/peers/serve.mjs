// A peer in a process of its own: it answers what the benchmark asks. Plain JavaScript, so that the project's type check does not need the
// peers' packages.

import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds that mean the same in every process of this machine. */
export const now = () => performance.timeOrigin + performance.now();

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

/** Counts what handlers were called for, and when. */
export function createCounter() {
  const began = new Map();
  let handled = 0;
  return {
    began,
    count: (n) => void (handled += n),
    async until(n) {
      while (handled < n) await sleep(2);
    },
  };
}

export async function until(isTrue) {
  while (!(await isTrue())) await sleep(5);
}
