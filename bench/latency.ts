// From the commit to the start of the handler, one message at a time on an idle fleet, beside the peers in the same run.

import { openField } from './field.ts';
import { count, during } from './progress.ts';
import { median, quantile } from './rounds.ts';

export type Latency = {
  readonly messages: number;
  /** Milliseconds of every message, by contender and round. */
  readonly rounds: Readonly<Record<string, readonly (readonly number[])[]>>;
  /** Milliseconds: medians of the rounds. */
  readonly p50: Readonly<Record<string, number>>;
  readonly p99: Readonly<Record<string, number>>;
  /** Peers that are not measured, and why. */
  readonly leftOut: Readonly<Record<string, string>>;
};

export async function latency({ messages = 200, rounds = 3 }: { messages?: number; rounds?: number } = {}) {
  const field = await openField();
  try {
    const contenders = [field.ours, ...field.peers];
    const measured = new Map<string, number[][]>(contenders.map(({ name }) => [name, []]));
    await field.ours.latency(20); // what a process does once, it has done
    for (let round = 0; round < rounds; round++)
      for (const contender of round % 2 === 0 ? contenders : contenders.toReversed()) {
        const what = `latency, round ${round + 1} of ${rounds}: ${contender.name}, ${count(messages)} messages`;
        const ms = await field.attempt(contender, () => during(what, contender.latency(messages)));
        if (ms) measured.get(contender.name)!.push(ms);
      }
    for (const name of Object.keys(field.leftOut)) measured.delete(name);
    const each = (q: number) =>
      Object.fromEntries(
        [...measured].map(([name, all]) => [name, median(all.map((ms) => quantile(ms, q)))]),
      );
    return {
      messages,
      rounds: Object.fromEntries(measured),
      p50: each(0.5),
      p99: each(0.99),
      leftOut: field.leftOut,
    } satisfies Latency;
  } finally {
    await field.end();
  }
}
