// Numbers drawn from a seed: the same seed draws the same numbers, on every machine (mulberry32, public domain).

export type Draw = {
  /** From 0, below 1. */
  next(): number;
  /** A whole number from 0, below `n`. */
  below(n: number): number;
  /** From `from` up to `to`. */
  between(from: number, to: number): number;
  /** @throws RangeError when there is none */
  pick<T>(all: readonly T[]): T;
};

/** @param seed a whole number; its lowest 32 bits count */
export function drawFrom(seed: number): Draw {
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (n: number): number => Math.floor(next() * n);
  return {
    next,
    below,
    between: (from, to) => from + next() * (to - from),
    pick(all) {
      if (all.length === 0) throw new RangeError('nothing to draw from');
      return all[below(all.length)]!;
    },
  };
}
