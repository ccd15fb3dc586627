// Deliveries: what reached the world outside, from the journals and the mail server, sorted by work. One that came again is explained by a fault, or it is
// a breach.

import type { Entry } from './journal.ts';
import type { Mail } from './mail.ts';
import { ehloOf, type Launch } from './processes.ts';
import type { Struck } from './strikes.ts';

export type Delivery = {
  readonly work: string;
  readonly message: string;
  readonly at: number;
  /** Undefined for a mail: the mail server does not know it. */
  readonly attempt?: number;
  /** Until when it was surely not settled: the handler's end, or that of its process. */
  readonly until: number;
  /** The start of the process that made it; undefined: it is not known. */
  readonly launch: Launch | undefined;
};

export function deliveriesOf(
  entries: readonly Entry[],
  mails: readonly Mail[],
  launches: readonly Launch[],
): ReadonlyMap<string, readonly Delivery[]> {
  const byEhlo = new Map(launches.map((one) => [ehloOf(one.name), one]));
  const keyOf = ({ message, work, attempt, launch }: Entry): string =>
    `${message} ${work} ${attempt} ${launch.name}`;
  const isEnd = ({ what }: Entry): boolean => what === 'ended' || what === 'failed';
  const ends = new Map(entries.filter(isEnd).map((one) => [keyOf(one), one.at]));
  const all: Delivery[] = [
    ...entries
      .filter(({ what }) => what === 'did')
      .map((one) => ({ ...one, until: ends.get(keyOf(one)) ?? one.launch.to ?? one.at })),
    ...mails.map((mail) => ({ ...mail, until: mail.at, launch: byEhlo.get(mail.from) })),
  ];
  return Map.groupBy(
    // By attempts: one that stood still past its lease delivers after the one that took over.
    all.toSorted((a, b) => (a.attempt ?? 0) - (b.attempt ?? 0) || a.at - b.at),
    ({ work }) => work,
  );
}

export type Double = {
  readonly work: string;
  /** The delivery that was repeated. */
  readonly first: Delivery;
  readonly again: Delivery;
  /** The fault that explains it; undefined: none does. */
  readonly by: Struck | undefined;
};

/** How long a settlement may take when nothing is wrong, in milliseconds. */
const settleMs = 2_000;

export type Explaining = {
  readonly struck: readonly Struck[];
  /** How long after a fault its effects last, in milliseconds. */
  readonly afterMs: number;
  /** Messages that one worker delivers at a time. */
  readonly slots: number;
};

/** What a fault doubles at most: what its workers had begun, and what they had done and not recorded. */
export const mostOf = ({ workers }: Pick<Struck, 'workers'>, slots: number): number => 2 * slots * workers;

/**
 * Each repeated delivery with the fault in which the one before it was in flight. The fault must be one that may double, and must have hit the process
 * that made that delivery. Of several, the one that has doubled the smallest part of what it may.
 */
export function doublesOf(
  deliveries: ReadonlyMap<string, readonly Delivery[]>,
  { struck, afterMs, slots }: Explaining,
): Double[] {
  const used = new Map<Struck, number>();
  const partOf = (one: Struck): number => (used.get(one) ?? 0) / mostOf(one, slots);
  const explains = (delivery: Delivery, one: Struck): boolean =>
    one.mayDouble &&
    (delivery.launch === undefined || one.launches.has(delivery.launch.name)) &&
    delivery.until >= one.from - settleMs &&
    delivery.at <= one.to + afterMs;
  const blame = (first: Delivery, again: Delivery): Struck | undefined => {
    // A mail has no attempt, so the later one may be that of the process that stood still.
    const its = again.attempt === undefined ? [first, again] : [first];
    const all = struck.filter((one) => its.some((delivery) => explains(delivery, one)));
    const by = all.toSorted((a, b) => partOf(a) - partOf(b))[0];
    if (by) used.set(by, (used.get(by) ?? 0) + 1);
    return by;
  };
  return [...deliveries].flatMap(([work, its]) =>
    its.slice(1).map((again, i) => ({ work, first: its[i]!, again, by: blame(its[i]!, again) })),
  );
}

/** Runs of poison kill their process; each is a fault that hit one. */
export function poisoned(entries: readonly Entry[]): Struck[] {
  return entries
    .filter(({ work, what }) => work.startsWith('poison-') && what === 'began')
    .map(({ launch, at, work }) => ({
      fault: 'poison' as const,
      text: `${work} killed ${launch.name}`,
      mayDouble: true,
      from: at,
      to: at,
      launches: new Set([launch.name]),
      workers: 1,
      inFlight: null,
    }));
}
