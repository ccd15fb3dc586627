// What the benchmarks ask of us and of each peer.

export type Contender = {
  readonly name: string;
  /** More messages at a time would take it minutes. */
  readonly atMost?: number | undefined;
  /** Puts this many no-op messages in, committed, while nothing works on them. */
  fill(messages: number): Promise<void>;
  /** Puts in messages that are due tomorrow. */
  fillLater(messages: number): Promise<void>;
  /** Lets the workers begin; resolves with the milliseconds until so many are settled, or all when `all` of them are waited for. */
  drain(messages: number, all: boolean): Promise<number>;
  /** Milliseconds from each commit to the start of its handler, one at a time on an idle fleet. */
  latency(messages: number): Promise<number[]>;
  /** Forgets what it holds, for the next part. */
  clear(): Promise<void>;
  /** Its processes. */
  pids(): readonly number[];
  end(): Promise<void>;
};
