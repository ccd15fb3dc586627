// Strikes the faults of a plan, one after the other, and keeps what each one hit and when.

import { setTimeout as sleep } from 'node:timers/promises';
import { now } from './clock.ts';
import type { Fault, FaultName, Planned, World } from './fault.ts';
import type { Member } from './processes.ts';
import { clock, kill, poison, stop, term } from './process-faults.ts';
import { disk, network, pgboss, postgres } from './server-faults.ts';

export const faults: Readonly<Record<FaultName, Fault>> = {
  kill,
  stop,
  term,
  postgres,
  network,
  pgboss,
  clock,
  disk,
  poison,
};

export type Struck = {
  readonly fault: FaultName;
  readonly text: string;
  readonly mayDouble: boolean;
  readonly from: number;
  to: number;
  /** The starts of processes that it hit. */
  readonly launches: ReadonlySet<string>;
  /** Workers among them: the bound of duplicates counts their slots. */
  readonly workers: number;
  /** Messages that they had claimed when it began; null: the database did not say. */
  readonly inFlight: number | null;
};

export type StrikeOptions = {
  readonly world: World;
  readonly plan: readonly Planned[];
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
};

/** Until the signal aborts, or the plan is at its end. The fault of that moment is ended, too. */
export async function strikeAll(
  { world, plan, signal, say }: StrikeOptions,
  struck: Struck[],
): Promise<void> {
  const wait = (ms: number): Promise<unknown> => sleep(ms, undefined, { signal }).catch(() => undefined);
  for (const planned of plan) {
    await wait(planned.pauseMs);
    if (signal.aborted) return;
    await strikeOne(world, planned, struck, wait, say);
  }
}

async function strikeOne(
  world: World,
  planned: Planned,
  struck: Struck[],
  wait: (ms: number) => Promise<unknown>,
  say: (line: string) => void,
): Promise<void> {
  const fault = faults[planned.fault];
  const target = targetOf(world, planned);
  const claimed = await world.subject.inFlight(world.db).catch(() => null);
  const from = now();
  // Those that run before it and those that run after it: `clock` and `kill` replace a process.
  const before = launchesOf(world.processes.members);
  const hit = await fault.strike(world, planned, target);
  say(hit.text);
  const launches = new Set(hit.members.map((one) => before.get(one)?.name ?? ''));
  const pids = hit.members.map((one) => before.get(one)?.pid ?? -1);
  const one: Struck = {
    fault: planned.fault,
    text: hit.text,
    mayDouble: fault.mayDouble,
    from,
    to: Number.POSITIVE_INFINITY,
    launches,
    workers: hit.members.filter((member) => member.spec.delivers).length,
    inFlight: claimed ? pids.reduce((sum, pid) => sum + (claimed.get(pid) ?? 0), 0) : null,
  };
  struck.push(one);
  await wait(planned.lengthMs);
  await hit.end();
  for (const member of hit.members) {
    const launch = member.current();
    if (launch) (one.launches as Set<string>).add(launch.name);
  }
  one.to = now();
}

const launchesOf = (members: readonly Member[]) =>
  new Map(members.map((one) => [one, one.current()] as const));

/** Faults of one process hit one that delivers in four of five cases: there the most can go wrong. */
function targetOf({ processes }: World, { who }: Planned): Member {
  const workers = processes.members.filter(({ spec }) => spec.delivers);
  const others = processes.members.filter(({ spec }) => !spec.delivers);
  const ofWorkers = 0.8;
  const [from, share] =
    who < ofWorkers || others.length === 0
      ? [workers, Math.min(who / ofWorkers, 1)]
      : [others, (who - ofWorkers) / (1 - ofWorkers)];
  return from[Math.min(from.length - 1, Math.floor(share * from.length))]!;
}
