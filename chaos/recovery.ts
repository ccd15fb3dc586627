// How long things took after a fault: until the first delivery after it, and until what a killed process had claimed was due again.

import type { Delivery } from './deliveries.ts';
import { now } from './clock.ts';
import type { Launch } from './processes.ts';
import type { Struck } from './strikes.ts';
import type { Ending } from './subject.ts';

/** Milliseconds from the end of the fault to the first delivery after it; undefined: there was none any more. */
export function recoveryOf(one: Struck, times: readonly number[]): number | undefined {
  const next = times.find((at) => at >= one.to);
  return next === undefined ? undefined : next - one.to;
}

/** When deliveries were made, ascending. */
export function timesOf(deliveries: ReadonlyMap<string, readonly Delivery[]>): number[] {
  return [...deliveries.values()]
    .flat()
    .map(({ at }) => at)
    .toSorted((a, b) => a - b);
}

export type Again = {
  readonly work: string;
  readonly ms: number;
  /** Another fault struck meanwhile. */
  readonly isDisturbed: boolean;
};

/** Milliseconds from a SIGKILL until the messages of that process were due again. */
export function dueAgain(
  foundDead: Ending['foundDead'],
  launches: readonly Launch[],
  struck: readonly Struck[],
): Again[] {
  const toEpoch = Date.now() - now();
  const killed = new Map(launches.filter(({ how }) => how === 'SIGKILL').map((one) => [one.pid, one]));
  return foundDead.flatMap(({ work, pid, at }) => {
    const launch = killed.get(pid);
    if (launch?.to === undefined) return [];
    const [death, again] = [launch.to, at - toEpoch];
    if (again < death) return []; // it had stood still before
    const isOther = ({ fault, launches: hit }: Struck): boolean =>
      !((fault === 'kill' || fault === 'poison') && hit.has(launch.name));
    const isDisturbed = struck.some((one) => one.to > death && one.from < again && isOther(one));
    return [{ work, ms: again - death, isDisturbed }];
  });
}

export function quantile(values: readonly number[], q: number): number | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? sorted[0]!;
}
