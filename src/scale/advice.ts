// How many workers a queue needs: the one place where that is decided. Up at once, down only when less has been enough for ten
// minutes; a need near the border between two numbers keeps the one that there is. So it neither flaps nor starves.

import { nextLoad, type Load, type Sample } from './load.ts';

export type QueueLook = Sample & {
  readonly queue: string;
  /** Processes that work it now. */
  readonly workers: number;
  /** Deliveries that one worker runs at a time. */
  readonly slotsPerWorker: number;
  /** Messages per second that the fleet may hand over; null: no limit. */
  readonly rate: number | null;
  /** The other queues of the processes that work it: they have the same slots. */
  readonly sharedWith: readonly string[];
  /** Paused, parked or held: more workers would deliver nothing. */
  readonly closed: boolean;
};

/** What the next decision must know of this one. */
export type AdviceState = {
  readonly load: Load;
  readonly recommended: number;
  /** [when, how many workers were needed], lately: what was less than something later is left out, for only the most counts. */
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

/** A backlog is to be gone after this many seconds. */
export const targetDrainSeconds = 60;
/** Slots that are busy on average, of those that there are: the rest is for what comes unevenly. */
export const targetUse = 0.8;
/** Less must have been enough for this long before it is advised. Seconds. */
export const calmSeconds = 600;
/** A queue with nothing to do for this long needs nobody. Seconds. */
export const idleSeconds = 600;
/** And for so many times as long as a message takes, an hour at most: nobody stops a worker that could hardly finish what it began. */
const calmTimes = 3;
/** More than this share is missing before more are advised: the slots that are kept free bear it. */
const band = 0.1;

/**
 * @param before null: the first decision of this queue
 * @param others workers that the queues need with which it shares its own
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
  const most = look.rate === null ? Infinity : (look.rate * load.meanSeconds) / targetUse;
  const exact = Math.min(steady + drain, most) / slotsPerWorker;
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
    ...(steady + drain > most
      ? [`the queue's rate of ${figure(look.rate ?? 0)}/s keeps ${figure(most)} slots busy, more would wait`]
      : []),
    `a worker has ${figure(slotsPerWorker)} slots: ${figure(exact)} workers`,
    ...sharedReason(look, others),
    ...idleSlotsReason(load, look),
    ...(idle ? [`nothing has come for ${idleSeconds / 60} minutes`] : []),
    ...(recommended > Math.max(1, Math.ceil(exact + others))
      ? [`${recommended} were needed within the last ${figure(calm / 60)} minutes`]
      : []),
  ];
  return { queue, recommended, exact, reasons, state: { load, recommended, needs } };
}

function sharedReason({ sharedWith }: QueueLook, others: number): string[] {
  if (sharedWith.length === 0 || others === 0) return [];
  return [
    `its workers also work ${sharedWith.join(', ')}, which need ${figure(others)} workers of the same slots`,
  ];
}

/** Of what the slots could end, less than this is ended while more waits than they hold: slots are not what is missing. */
const idleShare = 0.2;

/** More workers of a database, or of a provider, at its limit do not deliver more. */
function idleSlotsReason({ endedRate, meanSeconds }: Load, look: QueueLook): string[] {
  const { backlog, sending, workers, slotsPerWorker, rate } = look;
  const slots = workers * slotsPerWorker;
  const possible = slots / meanSeconds;
  const isUsed = sending >= slots / 2 || endedRate >= idleShare * possible;
  if (slots === 0 || rate !== null || backlog <= slots || isUsed) return [];
  return [
    `${backlog} wait and ${figure(endedRate)}/s end, where ${slots} slots could end ${figure(possible)}/s: workers are not what is missing. Look at the database (waybill doctor), at the queues of the same workers and at a job's concurrency`,
  ];
}

function steer(previous: number, needs: AdviceState['needs']): number {
  const now = needs.at(-1)?.[1] ?? 0;
  const peak = needs[0]?.[1] ?? 0; // they descend
  const up = Math.max(1, Math.ceil(now / (1 + band)));
  const down = Math.max(1, Math.ceil(peak));
  if (previous < up) return Math.max(up, Math.ceil(now));
  return Math.min(previous, down);
}

function figure(value: number): string {
  return String(Number(value.toPrecision(3)));
}
