// The limits benchmark: what a limit of its queue costs a message in time, at rest: from its commit to the start of its handler, with and without a
// limit that is never reached, in alternating rounds.

import { limitQueue } from '../src/operate/limits.ts';
import type { Limits } from '../src/queues/limits.ts';
import { openField } from './field.ts';
import { count, tell } from './progress.ts';
import { alternate, median, quantile, summary } from './rounds.ts';

export type LimitsOptions = {
  /** Of one round. */
  readonly messages?: number;
  readonly rounds?: number;
};

const limitsOf = {
  'without limits': { concurrency: null, groupConcurrency: null },
  'with a concurrency': { concurrency: 1_000, groupConcurrency: null },
  'with a concurrency for each group': { concurrency: null, groupConcurrency: 1_000 },
} as const satisfies Readonly<Record<string, Limits>>;
type Way = keyof typeof limitsOf;
const ways = Object.keys(limitsOf) as Way[];

export async function limits({ messages = 200, rounds = 3 }: LimitsOptions = {}) {
  const field = await openField({ peers: [] });
  try {
    const { ours } = field;
    await ours.latency(20); // keeps one-time costs of a process out
    const measured = await alternate(ways, rounds, async (way, round) => {
      tell(`limits, round ${round + 1} of ${rounds}: ${count(messages)} messages ${way}`);
      await limitQueue(ours.db, 'jobs', { ...limitsOf[way], rampMs: 0 }, { by: 'bench', reason: null });
      return ours.latency(messages);
    });
    const p50 = (way: Way): number[] => measured.get(way)!.map((ms) => quantile(ms, 0.5));
    const without = p50('without limits');
    const figures = (way: Way) => ({
      p50: summary(p50(way)),
      p99: summary(measured.get(way)!.map((ms) => quantile(ms, 0.99))),
      /** Of p50, to that without limits. */
      ratio: median(p50(way).map((ms, i) => ms / without[i]!)),
    });
    return { messages, ...Object.fromEntries(ways.map((way) => [way, figures(way)])) };
  } finally {
    await field.end();
  }
}
