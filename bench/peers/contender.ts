// What the benchmarks ask of us and of each peer.

export type Contender = {
  readonly name: string;
  readonly version: string;
  /** Puts this many no-op messages in, committed, while nothing works on them. */
  fill(messages: number): Promise<void>;
  /** Lets the workers begin; resolves with the milliseconds until everything is settled. */
  drain(messages: number): Promise<number>;
  /** Its processes that work now. */
  pids(): readonly number[];
  end(): Promise<void>;
};
