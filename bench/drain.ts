// How fast a backlog is worked off: committed no-op messages, one worker process of each contender, and one relay of ours.

import type { Contender } from './contender.ts';
import { cpuMs, peakMb } from './cpu.ts';
import { openField, type PeerName } from './field.ts';
import { count, during } from './progress.ts';
import { alternate, median, summary, type Summary } from './rounds.ts';

export type Drain = {
  readonly messages: number;
  /** Messages a second, by contender, and how many messages that was measured with: fewer where more would take minutes. */
  readonly perSecond: Readonly<Record<string, Summary & { readonly messages: number }>>;
  /** Median of the rounds' ratios: we to each peer. */
  readonly ratios: Readonly<Record<string, number>>;
  /** To the fastest of those on Postgres; null without one. */
  readonly ratioToFastestPeer: number | null;
  /** To the earlier commit that was asked for. */
  readonly ratioToRevision?: number;
  /** Microseconds of processor time for each message: of the contender's processes and of Postgres. */
  readonly cpu: Readonly<Record<string, { readonly processes: number; readonly postgres: number }>>;
  /** Megabytes that our processes held at most, from their start to the end of the last round. */
  readonly peakMb: readonly number[];
  /** Peers that are not measured, and why. */
  readonly leftOut: Readonly<Record<string, string>>;
};

export type DrainOptions = {
  readonly messages?: number;
  readonly rounds?: number;
  readonly peers?: readonly PeerName[] | undefined;
  readonly against?: string | undefined;
};

export async function drain({
  messages = 50_000,
  rounds = 5,
  peers,
  against,
}: DrainOptions = {}): Promise<Drain> {
  const field = await openField({ against, ...(peers && { peers }) });
  const { revision } = field;
  const cpu = new Map<string, { processes: number; postgres: number }[]>();
  const sizeOf = ({ atMost = messages }: Contender): number => Math.min(messages, atMost);
  /** What a process and a database do once, they have done. */
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
    const each = (after: number, from: number): number => ((after - from) * 1_000) / size;
    const used = {
      processes: each(cpuMs(contender.pids()), before[0]),
      postgres: each(cpuMs([field.postmaster]), before[1]),
    };
    await contender.clear(); // what is left of a round is no load for the next: flat measures that
    cpu.set(contender.name, [...(cpu.get(contender.name) ?? []), used]);
    return size / (ms / 1_000);
  }
  try {
    const all = [field.ours, ...(revision ? [revision] : []), ...field.peers];
    for (const contender of all)
      await field.attempt(contender, () => during(`drain: ${contender.name} warms up`, warmUp(contender)));
    const measured = await alternate(all, rounds, async (contender, round) => {
      const what = `drain, round ${round + 1} of ${rounds}: ${contender.name}, ${count(sizeOf(contender))} messages`;
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
      rates.map(([name, its, size]) => [name, { messages: size, ...summary(its) }]),
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
