// At most so many of one job at a time, within this drain: a job's `concurrency`.

import type { Deliver } from '../delivery/delivery.ts';
import type { Registry } from '../define/registry.ts';
import { givenBack as released } from '../worker/end.ts';

/** The same delivery, where a message of a full job waits for one that ends. It keeps its lease meanwhile. */
export function gated(deliver: Deliver, registry: Registry): Deliver {
  const running = new Map<string, number>();
  const waiting = new Map<string, (() => void)[]>();

  async function enter(name: string, most: number): Promise<void> {
    const now = running.get(name) ?? 0;
    if (now < most) return void running.set(name, now + 1);
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.set(name, [...(waiting.get(name) ?? []), resolve]);
    await promise; // the place of the one that ended passes over
  }

  function leave(name: string): void {
    const [next, ...rest] = waiting.get(name) ?? [];
    waiting.set(name, rest);
    if (next) next();
    else running.set(name, (running.get(name) ?? 1) - 1);
  }

  return async (message, signal) => {
    const most = message.kind === 'job' ? registry.job(message.name)?.concurrency : undefined;
    if (most === undefined) return deliver(message, signal);
    await enter(message.name, most);
    try {
      if (signal.aborted) return released; // it waited for its turn until the drain was to end: it has not begun
      return await deliver(message, signal);
    } finally {
      leave(message.name);
    }
  };
}
