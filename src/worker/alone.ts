// A suspect of this worker's queues: claimed when nothing is in flight in the process, and nothing is claimed beside it (invariant F).

import type { Clock } from '../ports.ts';
import type { Isolation } from '../process/isolation.ts';
import type { Slots } from './slots.ts';
import type { Source, Sources } from './sources.ts';

export type Alone = {
  /** Takes the suspect that waits, if it may. */
  isolate(): Promise<boolean>;
  /** Runs a claim of suspects without a source, if nothing is in flight in the process. @param claim gives how many it took */
  claim(claim: () => Promise<number>): Promise<number>;
  /** An attempt of this worker has ended. */
  ended(): void;
  isRunning(): boolean;
};

export type AlonePorts = {
  readonly isolation: Isolation;
  readonly sources: Sources;
  readonly slots: Slots;
  readonly clock: Clock;
  readonly take: (source: Source) => Promise<boolean>;
};

export function createAlone({ isolation, sources, slots, clock, take }: AlonePorts): Alone {
  let isRunning = false; // or is being claimed

  function leave(): void {
    if (isRunning) isolation.leave();
    isRunning = false;
  }

  async function within<T>(claim: () => Promise<T>): Promise<T> {
    isRunning = true;
    isolation.enter();
    try {
      return await claim();
    } finally {
      if (slots.busy() === 0) leave(); // it was another worker's already, or has ended
    }
  }

  const alone: Alone = {
    isRunning: () => isRunning,
    ended: leave, // nothing ran beside it
    async claim(claim) {
      if (isRunning || !isolation.mayEnter(false)) return 0;
      return within(claim);
    },
    async isolate() {
      const now = clock.now();
      const suspect = sources.alone(now);
      isolation.want(alone, suspect !== undefined);
      if (suspect === undefined || !isolation.mayEnter(sources.shared(now).length > 0)) return false;
      return within(() => take(suspect));
    },
  };
  return alone;
}
