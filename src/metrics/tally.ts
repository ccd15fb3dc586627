// A tally: a counter or a histogram that is updated with each message. prom-client finds a metric's series by a text made from the labels, at every
// call. The series of a tally is looked up once and kept, and adding to it allocates nothing. Its output is the same as prom-client's, character for
// character.

import type { Metric, Registry } from 'prom-client';

/** The value of one combination of labels. */
export type Series = {
  /**
   * Adds a value to a counter, or observes it in a histogram.
   * @throws RangeError for a value that would spoil the sum: not finite, or negative for a counter
   */
  add(value: number): void;
};

/** A line of the output. `metricName` is a histogram's name with `_bucket`, `_sum` or `_count`. */
export type TallyValue = {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
};

export type Tally<L extends string> = {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'histogram';
  readonly labelNames: readonly L[];
  /** Of a histogram's buckets, ascending. A value equal to a bound belongs to that bucket. */
  readonly upperBounds: readonly number[];
  /** The series of these labels. It is in the output from now on, with zeroes until something is added. */
  series(labels: Readonly<Record<L, string>>): Series;
  /** A registry calls this on its metrics. */
  get(): Promise<{ name: string; help: string; type: string; values: TallyValue[] }>;
};

type TallyFacts<L extends string> = Pick<Tally<L>, 'name' | 'help' | 'labelNames'> & {
  /** Upper bounds of a histogram; without them it is a counter. */
  readonly upperBounds?: readonly number[];
  readonly registry: Registry;
};

type Kept = { readonly series: Series; values(): TallyValue[] };

export function createTally<L extends string>(facts: TallyFacts<L>): Tally<L> {
  const { name, help, labelNames, upperBounds, registry } = facts;
  const type = upperBounds ? 'histogram' : 'counter';
  const kept = new Map<string, Kept>();
  const begin = (labels: TallyValue['labels']): Kept =>
    upperBounds ? distribution(name, labels, upperBounds) : sum(labels);
  const tally: Tally<L> = {
    name,
    help,
    type,
    labelNames,
    upperBounds: upperBounds ?? [],
    series(labels) {
      const key = JSON.stringify(labelNames.map((label) => labels[label]));
      const its = kept.get(key) ?? begin(labels);
      kept.set(key, its);
      return its.series;
    },
    get() {
      const values = [...kept.values()].flatMap((its) => its.values());
      return Promise.resolve({ name, help, type, values });
    },
  };
  if (labelNames.length === 0) tally.series({} as Record<L, string>);
  registry.registerMetric(tally as unknown as Metric); // the registry uses only a metric's name and get()
  return tally;
}

function sum(labels: TallyValue['labels']): Kept {
  const total = new Float64Array(1);
  return {
    series: {
      add(value) {
        if (!(value >= 0 && value < Infinity)) throw new RangeError(`a counter cannot go up by ${value}`);
        total[0]! += value;
      },
    },
    values: () => [{ labels, value: total[0]! }],
  };
}

/** A count for each bucket, one beyond them, and the sum. Counts are accumulated only when the histogram is read. */
function distribution(name: string, labels: TallyValue['labels'], upperBounds: readonly number[]): Kept {
  const beyond = upperBounds.length;
  const edges = Float64Array.from(upperBounds);
  const figures = new Float64Array(beyond + 2);
  return {
    series: {
      add(value) {
        if (!Number.isFinite(value)) throw new RangeError(`${value} is not a number that can be observed`);
        let bucket = 0;
        while (bucket < beyond && value > edges[bucket]!) bucket += 1;
        figures[bucket]! += 1;
        figures[beyond + 1]! += value;
      },
    },
    values() {
      let count = 0;
      const buckets = [...upperBounds, '+Inf'].map((le, i) => {
        count += figures[i]!;
        return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count };
      });
      return [
        ...buckets,
        { metricName: `${name}_sum`, labels, value: figures[beyond + 1]! },
        { metricName: `${name}_count`, labels, value: count },
      ];
    },
  };
}
