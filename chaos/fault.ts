// A fault: what is done to a fleet for one to five seconds, and how it ends.

import type pg from 'pg';
import type { Member, Processes } from './processes.ts';
import type { Server } from './server.ts';
import type { Subject } from './subject.ts';
import type { Wire } from './wire.ts';

export type World = {
  readonly subject: Subject;
  readonly processes: Processes;
  readonly server: Server;
  readonly wire: Wire;
  readonly db: pg.Pool;
  readonly leaseMs: number;
};

/** One entry of the plan, drawn from the seed alone. */
export type Planned = {
  readonly fault: FaultName;
  readonly pauseMs: number;
  readonly lengthMs: number;
  /** Which process, and which way: both from 0, below 1. */
  readonly who: number;
  readonly way: number;
};

export type Hit = {
  /** What was done, in words. */
  readonly text: string;
  /** Which members it hit. */
  readonly members: readonly Member[];
  /** Ends the fault. */
  end(): Promise<void>;
};

export type Fault = {
  readonly about: string;
  /** Whether a message whose delivery had begun may be delivered again. */
  readonly mayDouble: boolean;
  /** Whether it hits one process of those that deliver, or any. */
  readonly targets: 'all' | 'one';
  /** Why it cannot be made here; undefined: it can. */
  problem(world: World): string | undefined;
  strike(world: World, planned: Planned, target: Member): Promise<Hit>;
};

export const faultNames = [
  'kill',
  'stop',
  'term',
  'postgres',
  'network',
  'pgboss',
  'clock',
  'disk',
  'poison',
] as const;
export type FaultName = (typeof faultNames)[number];
