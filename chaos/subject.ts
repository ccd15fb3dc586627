// What is put under the faults: a subject. Waybill is one (waybill.ts); a peer does the same work through the same interface. The harness starts the
// processes that a subject names, places orders in transactions, strikes faults, and counts the lines of `work.ts` and the mails that arrive.
//
// A peer has: handlers that call `doWork` for each part of an order, mails with the header `X-Chaos-Work`, and `place` in the given transaction where it
// can. What it cannot do (order keys, groups, cron, …) it leaves out of `parts`, so that it is not counted as lost.

import type pg from 'pg';

/** The parts of an order. `listener-…` are the two listeners of its event. */
export type Part = 'email' | 'job' | 'event-first' | 'event-second' | 'account' | 'tenant';

export type Order = {
  readonly id: string;
  readonly account: string;
  /** Position in its account, ascending. */
  readonly seq: number;
  readonly tenant: string;
  /** How long the handlers take, in milliseconds. */
  readonly ms: number;
};

/** What a part of an order is called in the journal. */
export const workOf = (order: Pick<Order, 'id'>, part: Part): string => `${order.id}:${part}`;

export type Where = {
  /** Through the wire, which faults cut, silence and delay. */
  readonly fleetUrl: string;
  /** Straight to the server. */
  readonly directUrl: string;
  readonly smtpUrl: string;
  readonly leaseMs: number;
  /** Messages that one worker delivers at a time. */
  readonly slots: number;
  /** How long settled messages are kept, in milliseconds; undefined: as by default. */
  readonly keepMs?: number | undefined;
};

export type ProcessSpec = {
  /** Unique, such as `jobs-1`. */
  readonly name: string;
  /** Arguments of Node. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** What its log says once it works. */
  readonly ready: string;
  /** Whether it delivers messages, so that its death may double some. */
  readonly delivers: boolean;
};

export type Waiting = { readonly what: string; readonly count: number };

/** A promise that does not hold. */
export type Breach = {
  readonly promise: string;
  readonly text: string;
  /** The works that it concerns, at most ten. */ readonly works: readonly string[];
};

/** What the subject's own tables say at the end. */
export type Ending = {
  /** Messages whose worker was found dead: its process id, and when they were due again, in milliseconds since the epoch. */
  readonly foundDead: readonly { readonly work: string; readonly pid: number; readonly at: number }[];
  /** Columns of the table that only this subject has. */
  readonly columns: Readonly<Record<string, number | string>>;
  readonly breaches: readonly Breach[];
};

/** What the database says of a soak. `lag`: from due to claimed, counts by the upper edge in seconds, cumulative. */
export type DatabaseVitals = {
  readonly connections: number;
  readonly deadRows: number;
  readonly indexBytes: number;
  readonly lag: ReadonlyMap<number, number>;
};

export type Subject = {
  readonly name: string;
  /** Versions and settings, for the report. */
  readonly about: Readonly<Record<string, string>>;
  readonly parts: readonly Part[];
  /** Creates schema and tables. */
  prepare(where: Where): Promise<void>;
  processes(where: Where): readonly ProcessSpec[];
  /** Called once when all processes work, before the first order. */
  settleIn?(db: pg.Pool): Promise<void>;
  /** Records all parts of the order in the transaction of `tx`. */
  place(tx: pg.ClientBase, order: Order): Promise<void>;
  /** Records a message that kills its process, outside of a transaction. */
  poison?(db: pg.Pool, work: string): Promise<void>;
  /** Deletes every wake-up, or drops the dispatcher's schema, where the subject has one. */
  dropWakeUps?(db: pg.Pool, all: boolean): Promise<void>;
  /** Moves one cron job into the past, so that ticks are due now. */
  tick?(db: pg.Pool): Promise<void>;
  /** What is not settled yet. */
  waiting(db: pg.Pool): Promise<readonly Waiting[]>;
  /** An order must not be placed twice, because its messages have no keys. */
  readonly placesOnce?: true;
  /** Records them after the commit, where the subject cannot join a transaction. */
  placeAfter?(order: Order): Promise<void>;
  /** Messages that are claimed now, by the process id of their worker; undefined: its tables do not say. */
  inFlight(db: pg.Pool): Promise<ReadonlyMap<number, number> | undefined>;
  vitals?(db: pg.Pool): Promise<DatabaseVitals>;
  /** @param cleanEnds process ids of those that ended by SIGTERM with exit code 0, with its time in milliseconds since the epoch */
  ending(db: pg.Pool, cleanEnds: ReadonlyMap<number, number>): Promise<Ending>;
  /** What happened to the messages of this work, line by line. */
  timeline(db: pg.Pool, work: string): Promise<readonly string[]>;
  /** Works that it still has on record at the end; without it, what is not done counts as lost. */
  held?(db: pg.Pool): Promise<ReadonlySet<string>>;
  /** Closes what the harness's own process opened. */
  end?(): Promise<void>;
};
