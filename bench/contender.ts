// What the benchmarks require of us and of each peer.

/**
 * The work of a contender during a measurement. `noop`: handlers that do nothing. The others are what users do (bench/app.ts): jobs that write a
 * row, emails through the provider `log`, events with two listeners that write a row each, jobs that wait in a fleet of processes, and an action
 * that records an email, an event and a job.
 */
export type Work = 'noop' | 'jobs' | 'emails' | 'events' | 'fleet' | 'action';

/** The fleet: processes, jobs at a time in each (our default), and how long a job waits. */
export const fleet = { processes: 4, slots: 25, waitMs: 50 };

/** Handlers that run for each message: an event's handler passes it to two listeners. */
export const handlersOf = (work: Work): number => (work === 'events' ? 3 : 1);

/** Rows that handlers write for each message. */
export const rowsOf = (work: Work): number => (work === 'events' ? 2 : work === 'jobs' ? 1 : 0);

/** The steps that an action triggers. */
export const steps = ['email', 'listener', 'job'] as const;
export type Step = (typeof steps)[number];

export type Contender = {
  readonly name: string;
  /** With more messages it would take minutes. */
  readonly atMost?: number | undefined;
  /** Commits this many messages of its work while no worker runs. */
  fill(messages: number): Promise<void>;
  /** Commits messages that are due tomorrow. */
  fillLater(messages: number): Promise<void>;
  /** Starts the workers; resolves with the milliseconds until this many messages are settled, or all of them if `all` is set. */
  drain(messages: number, all: boolean): Promise<number>;
  /** Milliseconds from each commit to the start of its handler, one at a time on an idle fleet. */
  latency(messages: number): Promise<number[]>;
  /** Milliseconds from the commit of each action to the start of each step, one at a time on an idle fleet. */
  action(actions: number): Promise<Readonly<Record<Step, readonly number[]>>>;
  /** Empties it for the next measurement. */
  clear(): Promise<void>;
  /** Ids of its processes. */
  pids(): readonly number[];
  end(): Promise<void>;
};
