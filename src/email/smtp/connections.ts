// Limits how many connections to the mail server one process uses at once.
// When the server refuses for too many connections, the limit is halved. It grows by one after each quiet period.

import type { Clock, Milliseconds } from '../../ports.ts';

/** The time without such a refusal before the limit grows by one. */
const quiet: Milliseconds = 5 * 60_000;

export type Connections = {
  /** Resolves when a connection is free; rejects with the signal's reason when it aborts first. */
  enter(signal: AbortSignal): Promise<Seat>;
};

export type Seat = {
  /** Call once, when the send has ended. */
  leave(): void;
  /** Call after a refusal for too many connections. @returns the new limit; undefined when it did not change */
  tooMany(): number | undefined;
};

export function createConnections(most: number, clock: Clock): Connections {
  const waiting: (() => void)[] = [];
  let [limit, busy, changed] = [most, 0, clock.now()];

  function admit(): void {
    if (limit < most && clock.now() - changed >= quiet) [limit, changed] = [limit + 1, clock.now()];
    while (busy < limit && waiting.length > 0) {
      busy += 1;
      waiting.shift()!();
    }
  }

  function seat(): Seat {
    const before = limit;
    return {
      leave() {
        busy -= 1;
        admit();
      },
      tooMany() {
        changed = clock.now();
        if (limit < before || limit === 1) return undefined;
        limit = Math.max(1, Math.floor(limit / 2));
        return limit;
      },
    };
  }

  return {
    enter(signal) {
      return new Promise((resolve, reject) => {
        const enter = (): void => {
          signal.removeEventListener('abort', give);
          resolve(seat());
        };
        const give = (): void => {
          const place = waiting.indexOf(enter);
          if (place >= 0) waiting.splice(place, 1);
          reject(signal.reason as Error);
        };
        if (signal.aborted) return give();
        signal.addEventListener('abort', give, { once: true });
        waiting.push(enter);
        admit();
      });
    },
  };
}
