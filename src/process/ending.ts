// How a process is asked to end. After the first signal, running work may finish within the grace period. Another signal at once is the same request:
// a terminal signals the whole group, and a supervisor forwards the signal. A later one releases running work without using up attempts.

import type { Milliseconds } from '../ports.ts';
import { after } from '../timer.ts';
import type { Host } from './host.ts';

export type Ending = {
  /** Aborts when the process should end. */
  readonly signal: AbortSignal;
  /** Aborts when the process should end at once. */
  readonly hurry: AbortSignal;
  /** Aborts shortly before `late` is called: what has not ended is given up, so that the rest can end well. */
  readonly last: AbortSignal;
  /**
   * Handles signals from now on.
   * @param late called when the process has not ended in time, with the reason
   * @returns a function that begins the end for any other reason
   */
  listen(host: Pick<Host, 'log' | 'config' | 'clock'>, late: (why: string) => void): (reason: string) => void;
};

/** Signals within this time are one request. */
const echoMs: Milliseconds = 1_000;
/** Time for releasing running work. */
const hurryMs: Milliseconds = 5_000;
/** From `last` to the end of the process. */
const lastOf = (ms: Milliseconds): Milliseconds => Math.min(1_000, ms / 4);

export function createEnding(): Ending {
  const [stop, hurry, last] = [new AbortController(), new AbortController(), new AbortController()];
  return {
    signal: stop.signal,
    hurry: hurry.signal,
    last: last.signal,
    listen({ log, config, clock }, late) {
      let since: Milliseconds = 0;
      function endIn(ms: Milliseconds, why: string): void {
        after(ms - lastOf(ms), () => last.abort()).unref();
        after(ms, () => late(why)).unref();
      }
      function begin(reason: string): void {
        if (stop.signal.aborted) return;
        since = clock.now();
        log.info({ signal: reason, graceMs: config.shutdownGraceMs }, 'stopping: finishing what runs');
        stop.abort();
        endIn(config.shutdownGraceMs, 'the grace period is over');
      }
      function again(reason: string): void {
        if (hurry.signal.aborted || clock.now() - since < echoMs) return;
        log.info({ signal: reason }, 'asked again: releasing what runs, no attempt is used up');
        hurry.abort();
        endIn(hurryMs, 'what runs could not be released in time');
      }
      for (const name of ['SIGTERM', 'SIGINT'] as const)
        process.on(name, () => (stop.signal.aborted ? again(name) : begin(name)));
      return begin;
    },
  };
}
