// The advice as a service that runs beside another. Each process runs one statement every ten seconds; the one with the turn runs a second.

import type { Milliseconds } from '../ports.ts';
import { sizesOf, totalOf } from '../config/connections.ts';
import type { Host } from '../process/host.ts';
import { runLoop } from '../process/loop.ts';
import type { Service } from '../process/serve.ts';
import { decide } from './decisions.ts';

const interval: Milliseconds = 10_000;

export function withAdvice(host: Host, service: Service): Service {
  const { config, db, events, observe, progress } = host;

  async function step(): Promise<Milliseconds> {
    const connections = totalOf(sizesOf('jobs', { ...config, allowed: host.connections.allowed }));
    const decided = await decide(db, { slots: config.concurrency, connections });
    observe('advised', { decided });
    return interval;
  }

  return {
    ...service,
    async run(signal) {
      const ended = new AbortController();
      const advising = runLoop(
        { name: `autoscale of ${service.name}`, step, everyMs: interval },
        { signal: AbortSignal.any([signal, ended.signal]), observe, progress, onError: events.loopFailed },
      );
      try {
        await service.run(signal);
      } finally {
        ended.abort();
        await advising;
      }
    },
  };
}
