// How many workers a queue needs, decided in this one place. The number rises at once, and falls only when less has been enough for ten minutes.
// A need near the border between two numbers keeps the current one. So it neither flaps nor starves a queue.

import { nextLoad, type Load, type Sample } from './load.ts';

export type QueueLook = Sample & {
  readonly queue: string;
  /** Processes that serve it now. */
  readonly workers: number;
  /** Deliveries that one worker runs at a time. */
  readonly slotsPerWorker: number;
  /** Messages per second that the fleet may start; null: no limit. */
  readonly rate: number | null;
  /** Messages that may be in flight: of the queue over the fleet, in one process, of one group; null: no limit. */
  readonly concurrency: number | null;
  readonly perProcess: number | null;
  readonly perGroup: number | null;
  /** Groups with due messages; null where groups have no limit. */
  readonly groups: number | null;
  /** The other queues of those processes, which use the same slots. */
  readonly sharedWith: readonly string[];
  /** Paused, parked or held: more workers would deliver nothing. */
  readonly closed: boolean;
};

/** The part of this decision that the next one needs. */
export type AdviceState = {
  readonly load: Load;
  readonly recommended: number;
  /** [time, workers needed] of the calm period. A need that is not above a later one is dropped, because only the maximum counts. */
  readonly needs: readonly (readonly [number, number])[];
};

export type Advice = {
  readonly queue: string;
  readonly recommended: number;
  /** Before rounding. */
  readonly exact: number;
  readonly reasons: readonly string[];
  readonly state: AdviceState;
};

/** A backlog should be gone after this many seconds. */
export const targetDrainSeconds = 60;
/** Share of slots that should be busy on average; the rest absorbs uneven load. */
export const targetUse = 0.8;
/** A lower number must have been enough for this long before it is advised. Seconds. */
export const calmSeconds = 600;
/** A queue without work for this long needs no worker. Seconds. */
export const idleSeconds = 600;
/** The same in durations of a message, an hour at most, so that a worker can finish what it began. */
const calmTimes = 3;
/** More workers are advised only if more than this share is missing; the free slots absorb less. */
const band = 0.1;

/**
 * @param before null: the first decision of this queue
 * @param others workers that are needed by the queues of the same processes
 */
export function advise(before: AdviceState | null, look: QueueLook, others = 0): Advice {
  const { queue, at, workers, closed, backlog, slotsPerWorker } = look;
  const load = nextLoad(before?.load ?? null, look);
  const previous = before?.recommended ?? workers;
  const idle = at - load.busyAt > idleSeconds;
  if (closed) {
    const recommended = idle ? previous : Math.max(1, previous);
    const reasons = ['the queue is closed: more workers would deliver nothing, so the number stays'];
    const state = { load, recommended, needs: before?.needs ?? [] };
    return { queue, recommended, exact: recommended, reasons, state };
  }
  const steady = (load.arrival * load.meanSeconds) / targetUse;
  const drain = (backlog * load.meanSeconds) / targetDrainSeconds;
  const limits = limitsOf(look, load);
  const most = Math.min(...limits.map(({ slots }) => slots));
  const slotsOfOne = Math.min(slotsPerWorker, look.perProcess ?? Infinity);
  const exact = Math.min(steady + drain, most) / slotsOfOne;
  const calm = Math.min(3600, Math.max(calmSeconds, calmTimes * load.meanSeconds));
  const needs = [
    ...(before?.needs ?? [[at, workers] as const]).filter(
      ([when, need]) => at - when <= calm && need > exact + others,
    ),
    [at, exact + others] as const,
  ];
  const recommended = idle ? 0 : steer(previous, needs);
  const reasons = [
    `${figure(load.arrival)} messages/s, each ${figure(load.meanSeconds)} s in a slot: ${figure(steady)} slots at ${targetUse * 100} % use`,
    `a backlog of ${backlog} is to be gone in ${targetDrainSeconds} s: ${figure(drain)} slots`,
    ...limits.flatMap(({ slots, reason }) => (steady + drain > slots && slots === most ? [reason] : [])),
    slotsOfOne < slotsPerWorker
      ? `a worker may run ${slotsOfOne} of the queue's messages at a time: ${figure(exact)} workers`
      : `a worker has ${figure(slotsPerWorker)} slots: ${figure(exact)} workers`,
    ...sharedReason(look, others),
    ...idleSlotsReason(load, look),
    ...(idle ? [`nothing has come for ${idleSeconds / 60} minutes`] : []),
    ...(recommended > Math.max(1, Math.ceil(exact + others))
      ? [`${recommended} were needed within the last ${figure(calm / 60)} minutes`]
      : []),
  ];
  return { queue, recommended, exact, reasons, state: { load, recommended, needs } };
}

type Bound = { readonly slots: number; readonly reason: string };

/** How many slots the limits of the queue leave room for. */
function limitsOf({ rate, concurrency, perGroup, groups }: QueueLook, { meanSeconds }: Load): Bound[] {
  const bounds: Bound[] = [];
  if (rate !== null) {
    const slots = (rate * meanSeconds) / targetUse;
    const reason = `the queue's rate of ${figure(rate)}/s keeps ${figure(slots)} slots busy, more would wait`;
    bounds.push({ slots, reason });
  }
  if (concurrency !== null)
    bounds.push({
      slots: concurrency,
      reason: `the queue's concurrency is ${concurrency}: more slots would wait`,
    });
  if (perGroup !== null && groups !== null && groups > 0) {
    const reason = `messages of ${groups} groups wait, and ${perGroup} of each may run at a time: more slots would wait`;
    bounds.push({ slots: groups * perGroup, reason });
  }
  return [...bounds, { slots: Infinity, reason: '' }];
}

function sharedReason({ sharedWith }: QueueLook, others: number): string[] {
  if (sharedWith.length === 0 || others === 0) return [];
  return [
    `its workers also work ${sharedWith.join(', ')}, which need ${figure(others)} workers of the same slots`,
  ];
}

/** Slots are not the bottleneck if less than this share of them is used while more messages wait than there are slots. */
const idleShare = 0.2;

/** When a database or a provider is at its limit, more workers do not deliver more. */
function idleSlotsReason({ endedRate, meanSeconds }: Load, look: QueueLook): string[] {
  const { backlog, sending, workers, slotsPerWorker, rate } = look;
  const slots = workers * slotsPerWorker;
  const possible = slots / meanSeconds;
  const isUsed = sending >= slots / 2 || endedRate >= idleShare * possible;
  const isLimited = [rate, look.concurrency, look.perGroup].some((limit) => limit !== null);
  if (isLimited || backlog <= slots || isUsed) return [];
  return [
    `${backlog} wait and ${figure(endedRate)}/s end, where ${slots} slots could end ${figure(possible)}/s: workers are not what is missing. Look at the database (waybill doctor), at the queues of the same workers`,
  ];
}

function steer(previous: number, needs: AdviceState['needs']): number {
  const now = needs.at(-1)?.[1] ?? 0;
  const peak = needs[0]?.[1] ?? 0; // in descending order
  const up = Math.max(1, Math.ceil(now / (1 + band)));
  const down = Math.max(1, Math.ceil(peak));
  if (previous < up) return Math.max(up, Math.ceil(now));
  return Math.min(previous, down);
}

function figure(value: number): string {
  return String(Number(value.toPrecision(3)));
}
