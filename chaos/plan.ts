// The plan of a run: which fault, when, how long, at whom. It is drawn from the seed before the run begins, and does not depend on how fast the machine
// is; a slower machine comes less far in it.

import type { FaultName, Planned } from './fault.ts';
import type { Draw } from './seed.ts';

export type PlanOptions = {
  readonly faults: readonly FaultName[];
  readonly minutes: number;
  readonly draw: Draw;
};

export function planOf({ faults, minutes, draw }: PlanOptions): Planned[] {
  const plan: Planned[] = [];
  if (faults.length === 0) return plan;
  const most = Math.ceil((minutes * 60_000) / 2_000);
  // Each fault once, in an order that the seed draws, then again: a short run meets as many kinds as it can.
  let left: FaultName[] = [];
  for (let i = 0; i < most; i++) {
    if (left.length === 0) left = [...faults];
    const fault = draw.pick(left);
    left = left.filter((one) => one !== fault);
    plan.push({
      fault,
      pauseMs: Math.round(draw.between(1_000, 4_000)),
      lengthMs: Math.round(draw.between(1_000, 5_000)),
      who: draw.next(),
      way: draw.next(),
    });
  }
  return plan;
}
