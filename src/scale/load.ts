// The load of a queue: how much comes, how long a message takes, what waits. Estimated from samples of the database's own figures,
// smoothed, so that one odd sample moves it little. Times are the database's (invariant H).

/** One look at a queue. */
export type Sample = {
  /** Seconds since 1970, by the database. */
  readonly at: number;
  /** Due, in the outbox or in the queue, and claimed by nobody. */
  readonly backlog: number;
  /** Being delivered. */
  readonly sending: number;
  /** How long those have been under way, on average. Seconds. */
  readonly sendingAge: number;
  /** Attempts of this queue that ever ended. */
  readonly ended: number;
  /** How long those kept their slots, together. Seconds. */
  readonly slotSeconds: number;
};

export type Load = Pick<Sample, 'at' | 'ended' | 'slotSeconds'> & {
  /** Backlog and sending. */
  readonly live: number;
  /** Messages per second that become due. */
  readonly arrival: number;
  /** Attempts per second that end, and the slot seconds that they bring. */
  readonly endedRate: number;
  readonly slotRate: number;
  /** How long a message keeps a slot. Seconds. */
  readonly meanSeconds: number;
  /** When there last was anything to do. */
  readonly busyAt: number;
};

/** Of a queue of which nothing is known yet. Seconds. */
const firstGuess = 0.1;

/** After this many seconds a change is told by two thirds: long enough for fifty messages, so that chance does not look like a change. */
function timeConstant(arrival: number): number {
  return Math.min(600, Math.max(60, 50 / arrival));
}

/** @param before null: the first look */
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
  // While too few end for an average, those under way have already taken so long.
  const meanSeconds =
    endedRate * constant >= 3 ? slotRate / endedRate : Math.max(before.meanSeconds, sample.sendingAge);
  const busyAt = live > 0 || arrived > 0 ? at : before.busyAt;
  return { ...now, arrival: smooth(before.arrival, arrived), endedRate, slotRate, meanSeconds, busyAt };
}
