// Connections to the mail server: how many sends of this process may run at once. A server that says that they are too many gets half of
// them, and one more again each time that it was content for a while.

import type { Clock, Milliseconds } from '../../ports.ts';

/** Before one more is tried. */
const quiet: Milliseconds = 5 * 60_000;

export type Connections = {
  /** Resolves when there is room; rejects with the signal's reason when it aborts before. */
  enter(signal: AbortSignal): Promise<Seat>;
};

export type Seat = {
  /** Once, when the send has ended. */
  leave(): void;
  /** The server said that there are too many: @returns how many there may be from now on, undefined when that was said already. */
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
