// Ctrl-C and SIGTERM for commands that work in batches: they stop after the batch.

import { say } from './print.ts';

export type Interrupted = { readonly signal: AbortSignal; stop(): void };

export function interrupted(): Interrupted {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const name of signals) process.once(name, abort);
  return {
    signal: controller.signal,
    stop: () => signals.forEach((name) => process.off(name, abort)),
  };
}

/** Progress on stderr, at most once a second. */
export function progress(what: string): (done: number, found: number) => void {
  let before = performance.now();
  return (done, found) => {
    const now = performance.now();
    if (now - before < 1_000) return;
    before = now;
    say(`${done} of ${Math.max(done, found)} ${what}`);
  };
}
