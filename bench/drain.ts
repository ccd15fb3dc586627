// The drain benchmark: how fast each contender's workers, and one relay of ours, work off messages that do nothing, or work of users.

import { fleet, type Contender, type Work } from './contender.ts';
import { cpuMs, peakMb } from './cpu.ts';
import { openField, type PeerName } from './field.ts';
import { count, during } from './progress.ts';
import { alternate, median, summary, type Summary } from './rounds.ts';

export type Drain = {
  readonly messages: number;
  /** Messages a second by contender, and the number of messages measured: fewer where more would take minutes. `ms`: the time for all of them. */
  readonly perSecond: Readonly<Record<string, Summary & { readonly messages: number; readonly ms: number }>>;
  /** Median of the rounds' ratios: our rate to each peer's. */
  readonly ratios: Readonly<Record<string, number>>;
  /** To the fastest peer on Postgres; null without one. */
  readonly ratioToFastestPeer: number | null;
  /** To the earlier commit, if one was requested. */
  readonly ratioToRevision?: number;
  /** Microseconds of processor time for each message: of the contender's processes and of Postgres. */
  readonly cpu: Readonly<Record<string, { readonly processes: number; readonly postgres: number }>>;
  /** Peak memory of our processes in megabytes, from their start to the end of the last round. */
  readonly peakMb: readonly number[];
  /** Peers that were not measured, and why. */
  readonly leftOut: Readonly<Record<string, string>>;
};

export type DrainOptions = {
  /** Default `noop`. */
  readonly work?: Exclude<Work, 'action'>;
  readonly messages?: number;
  readonly rounds?: number;
  readonly peers?: readonly PeerName[] | undefined;
  readonly against?: string | undefined;
};

/** Sizes that take each contender seconds; the fleet's whole drain takes some 100 ms. */
const sizes = { noop: 50_000, jobs: 10_000, emails: 10_000, events: 5_000, fleet: 200 };

/** The least time of a fleet whose slots are always taken. Timers may fire a little early. */
const leastMs = (messages: number): number =>
  Math.ceil(messages / (fleet.processes * fleet.slots)) * fleet.waitMs * 0.95;

export async function drain({
  work = 'noop',
  messages = sizes[work],
  rounds = 5,
  peers,
  against,
}: DrainOptions = {}): Promise<Drain> {
  const name = work === 'noop' ? 'drain' : `work-${work}`;
  const field = await openField({ work, against, ...(peers && { peers }) });
  const { revision } = field;
  const cpu = new Map<string, { processes: number; postgres: number }[]>();
  const sizeOf = ({ atMost = messages }: Contender): number => Math.min(messages, atMost);
  /** Keeps one-time costs of a process and a database out of the measurement. */
  async function warmUp(contender: Contender): Promise<void> {
    await contender.fill(sizeOf(contender));
    await contender.drain(sizeOf(contender), true);
    await contender.clear();
  }
  async function measure(contender: Contender): Promise<number> {
    const size = sizeOf(contender);
    await contender.fill(size);
    const before = [cpuMs(contender.pids()), cpuMs([field.postmaster])] as const;
    const ms = await contender.drain(size, true);
    if (work === 'fleet' && ms < leastMs(size))
      throw new Error(
        `${contender.name} took ${ms} ms: its processes had more than ${fleet.slots} jobs at a time`,
      );
    const each = (after: number, from: number): number => ((after - from) * 1_000) / size;
    const used = {
      processes: each(cpuMs(contender.pids()), before[0]),
      postgres: each(cpuMs([field.postmaster]), before[1]),
    };
    await contender.clear(); // the remains of a round are no load for the next; flat measures that
    cpu.set(contender.name, [...(cpu.get(contender.name) ?? []), used]);
    return size / (ms / 1_000);
  }
  try {
    const all = [field.ours, ...(revision ? [revision] : []), ...field.peers];
    for (const contender of all)
      await field.attempt(contender, () => during(`${name}: ${contender.name} warms up`, warmUp(contender)));
    const measured = await alternate(all, rounds, async (contender, round) => {
      const what = `${name}, round ${round + 1} of ${rounds}: ${contender.name}, ${count(sizeOf(contender))} messages`;
      return (await field.attempt(contender, () => during(what, measure(contender)))) ?? Number.NaN;
    });
    const contenders = all.filter(({ name }) => !(name in field.leftOut));
    return {
      messages,
      ...compared(contenders, measured, sizeOf, revision?.name),
      cpu: middle(cpu),
      peakMb: field.ours.pids().map(peakMb),
      leftOut: field.leftOut,
    };
  } finally {
    await field.end();
  }
}

function compared(
  contenders: readonly Contender[],
  measured: ReadonlyMap<Contender, number[]>,
  sizeOf: (contender: Contender) => number,
  revision: string | undefined,
) {
  const rates = contenders.map((one) => [one.name, measured.get(one)!, sizeOf(one)] as const);
  const [ours, ...others] = rates;
  const ratios = others.map(
    ([name, its]) => [name, median(ours![1].map((rate, i) => rate / its[i]!))] as const,
  );
  const onPostgres = ratios
    .filter(([name]) => name !== 'bullmq' && name !== revision)
    .map(([, ratio]) => ratio);
  const toRevision = ratios.find(([name]) => name === revision)?.[1];
  return {
    perSecond: Object.fromEntries(
      rates.map(([name, its, size]) => [
        name,
        { messages: size, ms: (size / median(its)) * 1_000, ...summary(its) },
      ]),
    ),
    ratios: Object.fromEntries(ratios),
    ratioToFastestPeer: onPostgres.length > 0 ? Math.min(...onPostgres) : null,
    ...(toRevision !== undefined && { ratioToRevision: toRevision }),
  };
}

function middle(cpu: ReadonlyMap<string, { processes: number; postgres: number }[]>): Drain['cpu'] {
  return Object.fromEntries(
    [...cpu].map(([name, rounds]) => [
      name,
      {
        processes: median(rounds.map((one) => one.processes)),
        postgres: median(rounds.map((one) => one.postgres)),
      },
    ]),
  );
}
