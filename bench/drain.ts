// How fast a backlog is worked off: committed no-op messages, one worker process of each contender, and one relay of ours.

import type { Contender } from './contender.ts';
import { cpuMs, peakMb } from './cpu.ts';
import { openField } from './field.ts';
import { alternate, median, summary, type Summary } from './rounds.ts';

export type Drain = {
  readonly messages: number;
  /** Messages a second, by contender. */
  readonly perSecond: Readonly<Record<string, Summary>>;
  /** Median of the rounds' ratios: we to each peer. */
  readonly ratios: Readonly<Record<string, number>>;
  /** To the faster of those on Postgres. */
  readonly ratioToFastestPeer: number;
  /** Microseconds of processor time for each message: of the contender's processes and of Postgres. */
  readonly cpu: Readonly<Record<string, { readonly processes: number; readonly postgres: number }>>;
  /** Megabytes that our processes held at most, from their start to the end of the last round. */
  readonly peakMb: readonly number[];
};

export type DrainOptions = {
  readonly messages?: number;
  readonly rounds?: number;
  readonly peers?: readonly string[];
};

export async function drain({ messages = 50_000, rounds = 5, peers }: DrainOptions = {}): Promise<Drain> {
  const field = await openField(peers ? { peers } : {});
  const cpu = new Map<string, { processes: number; postgres: number }[]>();
  try {
    const contenders = [field.ours, ...field.peers];
    const measured = await alternate(contenders, rounds, async (contender) => {
      await contender.fill(messages);
      const before = [cpuMs(contender.pids()), cpuMs([field.postmaster])] as const;
      const ms = await contender.drain(messages, true);
      const each = (after: number, from: number): number => ((after - from) * 1_000) / messages;
      const used = {
        processes: each(cpuMs(contender.pids()), before[0]),
        postgres: each(cpuMs([field.postmaster]), before[1]),
      };
      cpu.set(contender.name, [...(cpu.get(contender.name) ?? []), used]);
      return messages / (ms / 1_000);
    });
    return {
      messages,
      ...compared(contenders, measured),
      cpu: middle(cpu),
      peakMb: field.ours.pids().map(peakMb),
    };
  } finally {
    await field.end();
  }
}

function compared(contenders: readonly Contender[], measured: ReadonlyMap<Contender, number[]>) {
  const rates = contenders.map((one) => [one.name, measured.get(one)!] as const);
  const [ours, ...others] = rates;
  const ratios = others.map(
    ([name, its]) => [name, median(ours![1].map((rate, i) => rate / its[i]!))] as const,
  );
  const onPostgres = ratios.filter(([name]) => name !== 'bullmq').map(([, ratio]) => ratio);
  return {
    perSecond: Object.fromEntries(rates.map(([name, its]) => [name, summary(its)])),
    ratios: Object.fromEntries(ratios),
    ratioToFastestPeer: Math.min(...onPostgres),
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
