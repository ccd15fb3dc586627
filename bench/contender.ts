// What the benchmarks ask of us and of each peer.

/**
 * What a contender does while it is measured. `noop`: handlers that do nothing. The others are what users do (bench/app.ts): jobs that write a
 * row, emails through the provider `log`, events with two listeners that write a row each, jobs that wait in a fleet of processes, and an
 * action that records an email, an event and a job.
 */
export type Work = 'noop' | 'jobs' | 'emails' | 'events' | 'fleet' | 'action';

/** The fleet: processes, jobs at a time in each (our default), and how long a job waits. */
export const fleet = { processes: 4, slots: 25, waitMs: 50 };

/** Handlers that run for each message: that of an event gives it to two listeners. */
export const handlersOf = (work: Work): number => (work === 'events' ? 3 : 1);

/** Rows that handlers write for each message. */
export const rowsOf = (work: Work): number => (work === 'events' ? 2 : work === 'jobs' ? 1 : 0);

/** What an action sets off. */
export const steps = ['email', 'listener', 'job'] as const;
export type Step = (typeof steps)[number];

export type Contender = {
  readonly name: string;
  /** More messages at a time would take it minutes. */
  readonly atMost?: number | undefined;
  /** Puts this many messages of its work in, committed, while nothing works on them. */
  fill(messages: number): Promise<void>;
  /** Puts in messages that are due tomorrow. */
  fillLater(messages: number): Promise<void>;
  /** Lets the workers begin; resolves with the milliseconds until so many are settled, or all when `all` of them are waited for. */
  drain(messages: number, all: boolean): Promise<number>;
  /** Milliseconds from each commit to the start of its handler, one at a time on an idle fleet. */
  latency(messages: number): Promise<number[]>;
  /** Milliseconds from the commit of each action to the start of what it sets off, one at a time on an idle fleet. */
  action(actions: number): Promise<Readonly<Record<Step, readonly number[]>>>;
  /** Forgets what it holds, for the next part. */
  clear(): Promise<void>;
  /** Its processes. */
  pids(): readonly number[];
  end(): Promise<void>;
};
