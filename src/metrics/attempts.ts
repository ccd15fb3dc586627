// The figures of ended attempts. The series of a queue, a kind and an outcome are looked up once, with the first such attempt, and kept.

import type { Metrics } from './catalogue.ts';
import type { Series } from './tally.ts';

export type AttemptOutcome = 'delivered' | 'retried' | 'dead' | 'released';

export type CountedAttempt = {
  readonly message: { readonly kind: string };
  readonly outcome: AttemptOutcome;
  readonly seconds: number;
  readonly endToEndSeconds: number | null;
};

type Counted = Pick<Metrics, 'deliveries' | 'slotSeconds' | 'deliverySeconds' | 'endToEnd'>;
type Kept = { readonly [metric in keyof Counted]: Series };

/** @returns a function that counts an attempt; `queue` is the label, one of a bounded set */
export function countAttempts(metrics: Counted): (queue: string, attempt: CountedAttempt) => void {
  const queues = new Map<string, Map<string, Map<AttemptOutcome, Kept>>>();

  function begin(queue: string, kind: string, outcome: AttemptOutcome): Kept {
    const kinds = queues.get(queue) ?? new Map<string, Map<AttemptOutcome, Kept>>();
    const outcomes = kinds.get(kind) ?? new Map<AttemptOutcome, Kept>();
    const kept = {
      deliveries: metrics.deliveries.series({ kind, queue, outcome }),
      slotSeconds: metrics.slotSeconds.series({ queue }),
      deliverySeconds: metrics.deliverySeconds.series({ kind, outcome }),
      endToEnd: metrics.endToEnd.series({ kind }),
    };
    queues.set(queue, kinds.set(kind, outcomes.set(outcome, kept)));
    return kept;
  }

  return (queue, { message: { kind }, outcome, seconds, endToEndSeconds }) => {
    const kept = queues.get(queue)?.get(kind)?.get(outcome) ?? begin(queue, kind, outcome);
    kept.deliveries.add(1);
    kept.slotSeconds.add(seconds);
    kept.deliverySeconds.add(seconds);
    if (endToEndSeconds !== null && Number.isFinite(endToEndSeconds)) kept.endToEnd.add(endToEndSeconds);
  };
}
