// The load of a queue: arrivals, how long a message takes, and what waits. Samples of the database's figures are smoothed, so that one odd sample
// has little effect. Times are the database's (invariant H).

export type Sample = {
  /** Seconds since 1970, by the database. */
  readonly at: number;
  /** Due messages that no worker has claimed. */
  readonly backlog: number;
  /** Being delivered. */
  readonly sending: number;
  /** Mean time since they were claimed. Seconds. */
  readonly sendingAge: number;
  /** Attempts of this queue that have ended so far. */
  readonly ended: number;
  /** How long those attempts occupied their slots in total. Seconds. */
  readonly slotSeconds: number;
};

export type Load = Pick<Sample, 'at' | 'ended' | 'slotSeconds'> & {
  /** Backlog plus sending. */
  readonly live: number;
  /** Messages per second that become due. */
  readonly arrival: number;
  /** Attempts per second that end, and the slot seconds that they add. */
  readonly endedRate: number;
  readonly slotRate: number;
  /** How long a message occupies a slot. Seconds. */
  readonly meanSeconds: number;
  /** Time of the last sample with work. */
  readonly busyAt: number;
};

/** For a queue without data. Seconds. */
const firstGuess = 0.1;

/** After this many seconds two thirds of a change show: long enough for fifty messages, so that chance does not look like a change. */
function timeConstant(arrival: number): number {
  return Math.min(600, Math.max(60, 50 / arrival));
}

/** @param before null: the first sample */
export function nextLoad(before: Load | null, sample: Sample): Load {
  const { at, ended, slotSeconds } = sample;
  const live = sample.backlog + sample.sending;
  const now = { at, ended, slotSeconds, live };
  if (before === null) {
    const nothing = { arrival: 0, endedRate: 0, slotRate: 0, busyAt: at };
    return { ...now, ...nothing, meanSeconds: Math.max(firstGuess, sample.sendingAge) };
  }
  const seconds = at - before.at;
  if (seconds <= 0) return before;
  const constant = timeConstant(before.arrival);
  const weight = 1 - Math.exp(-seconds / constant);
  const smooth = (old: number, change: number): number =>
    old + weight * (Math.max(0, change) / seconds - old);
  const endedNow = Math.max(0, ended - before.ended);
  const arrived = endedNow + live - before.live;
  const endedRate = smooth(before.endedRate, endedNow);
  const slotRate = smooth(before.slotRate, slotSeconds - before.slotSeconds);
  // While too few attempts end for an average, the age of the running ones is a lower bound.
  const meanSeconds =
    endedRate * constant >= 3 ? slotRate / endedRate : Math.max(before.meanSeconds, sample.sendingAge);
  const busyAt = live > 0 || arrived > 0 ? at : before.busyAt;
  return { ...now, arrival: smooth(before.arrival, arrived), endedRate, slotRate, meanSeconds, busyAt };
}
