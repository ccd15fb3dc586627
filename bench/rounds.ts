// Rounds that alternate between contenders, and their statistics: median, spread, quantiles.

export type Summary = {
  readonly rounds: readonly number[];
  readonly median: number;
  /** Lowest and highest round, as parts of the median. */
  readonly spread: readonly [number, number];
};

/** The contender that comes first changes with each round. */
export async function alternate<T, M = number>(
  contenders: readonly T[],
  rounds: number,
  measure: (contender: T, round: number) => Promise<M>,
): Promise<Map<T, M[]>> {
  const measured = new Map<T, M[]>(contenders.map((one) => [one, []]));
  for (let round = 0; round < rounds; round++) {
    const first = round % contenders.length;
    for (const one of [...contenders.slice(first), ...contenders.slice(0, first)])
      measured.get(one)!.push(await measure(one, round));
  }
  return measured;
}

export function summary(rounds: readonly number[]): Summary {
  const middle = median(rounds);
  return { rounds, median: middle, spread: [Math.min(...rounds) / middle, Math.max(...rounds) / middle] };
}

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

export function quantile(numbers: readonly number[], q: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}
