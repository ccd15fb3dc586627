// From the commit to the start of the handler, one message at a time on an idle fleet, beside the peers in the same run.

import { openField } from './field.ts';
import { median, quantile } from './rounds.ts';

export type Latency = {
  readonly messages: number;
  /** Milliseconds of every message, by contender and round. */
  readonly rounds: Readonly<Record<string, readonly (readonly number[])[]>>;
  /** Milliseconds: medians of the rounds. */
  readonly p50: Readonly<Record<string, number>>;
  readonly p99: Readonly<Record<string, number>>;
};

export async function latency({ messages = 200, rounds = 3 }: { messages?: number; rounds?: number } = {}) {
  const field = await openField();
  try {
    const contenders = [field.ours, ...field.peers];
    const measured = new Map<string, number[][]>(contenders.map(({ name }) => [name, []]));
    await field.ours.latency(20); // what a process does once, it has done
    for (let round = 0; round < rounds; round++)
      for (const contender of round % 2 === 0 ? contenders : contenders.toReversed())
        measured.get(contender.name)!.push(await contender.latency(messages));
    const each = (q: number) =>
      Object.fromEntries(
        [...measured].map(([name, all]) => [name, median(all.map((ms) => quantile(ms, q)))]),
      );
    return {
      messages,
      rounds: Object.fromEntries(measured),
      p50: each(0.5),
      p99: each(0.99),
    } satisfies Latency;
  } finally {
    await field.end();
  }
}
