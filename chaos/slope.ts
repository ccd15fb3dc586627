// A slope with its confidence: a straight line by least squares through samples. Neighbouring samples of a process resemble each other, so the interval is
// somewhat too narrow; the bounds of the soak are wide for that reason.

export type Slope = {
  readonly perHour: number;
  /** The 95 % confidence interval. */
  readonly low: number;
  readonly high: number;
};

export type Sample = { readonly hours: number; readonly value: number };

/** Of Student's distribution with many degrees of freedom; with few, the interval is wider than this says. */
const t95 = (degrees: number): number => 1.96 + 2.4 / Math.max(1, degrees);

/** @returns undefined with fewer than three samples, or when all are of the same time */
export function slopeOf(samples: readonly Sample[]): Slope | undefined {
  const n = samples.length;
  if (n < 3) return undefined;
  const mean = (of: (one: Sample) => number): number => samples.reduce((sum, one) => sum + of(one), 0) / n;
  const [x, y] = [mean(({ hours }) => hours), mean(({ value }) => value)];
  const xx = samples.reduce((sum, { hours }) => sum + (hours - x) ** 2, 0);
  if (xx === 0) return undefined;
  const perHour = samples.reduce((sum, { hours, value }) => sum + (hours - x) * (value - y), 0) / xx;
  const rest = samples.reduce((sum, { hours, value }) => sum + (value - y - perHour * (hours - x)) ** 2, 0);
  const error = Math.sqrt(rest / (n - 2) / xx) * t95(n - 2);
  return { perHour, low: perHour - error, high: perHour + error };
}
