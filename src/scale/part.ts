// The advice as a part of a process: beside a part that every fleet has. It costs a statement every ten seconds, over the whole fleet.

import type { Milliseconds } from '../ports.ts';
import { sizesOf, totalOf } from '../process/connections.ts';
import type { Host } from '../process/host.ts';
import { runLoop } from '../process/loop.ts';
import type { Part } from '../process/run.ts';
import { decide } from './decisions.ts';

const interval: Milliseconds = 10_000;

/** The part, and beside it the decisions, when it is this process's turn. */
export function withAdvice(host: Host, part: Part): Part {
  const { config, db, events, observe, progress } = host;

  async function step(): Promise<Milliseconds> {
    const connections = totalOf(sizesOf('jobs', { ...config, allowed: host.connections.allowed }));
    const decided = await decide(db, { slots: config.concurrency, connections });
    observe('advised', { decided });
    return interval;
  }

  return {
    ...part,
    async run(signal) {
      const ended = new AbortController();
      const advising = runLoop(
        { name: `autoscale of ${part.name}`, step, everyMs: interval },
        { signal: AbortSignal.any([signal, ended.signal]), observe, progress, onError: events.loopFailed },
      );
      try {
        await part.run(signal);
      } finally {
        ended.abort();
        await advising;
      }
    },
  };
}
