// From the commit to the start of the handler, one message at a time on an idle fleet, beside the peers in the same run.

import { openField, type PeerName } from './field.ts';
import { count, during } from './progress.ts';
import { median, quantile } from './rounds.ts';

export type Latency = {
  readonly messages: number;
  /** Milliseconds of every message, by contender and round. */
  readonly rounds: Readonly<Record<string, readonly (readonly number[])[]>>;
  /** Milliseconds: medians of the rounds. */
  readonly p50: Readonly<Record<string, number>>;
  readonly p99: Readonly<Record<string, number>>;
  /** Our p50 to that of the fastest on Postgres: below 1, ours is the lower; null without one. */
  readonly ratioToFastestPeer: number | null;
  /** Our p50 to that of the earlier commit that was asked for. */
  readonly ratioToRevision?: number;
  /** Peers that are not measured, and why. */
  readonly leftOut: Readonly<Record<string, string>>;
};

export type LatencyOptions = {
  readonly messages?: number;
  readonly rounds?: number;
  readonly peers?: readonly PeerName[] | undefined;
  readonly against?: string | undefined;
};

export async function latency({ messages = 200, rounds = 3, peers, against }: LatencyOptions = {}) {
  const field = await openField({ against, ...(peers && { peers }) });
  const { ours, revision } = field;
  try {
    const contenders = [ours, ...(revision ? [revision] : []), ...field.peers];
    const measured = new Map<string, number[][]>(contenders.map(({ name }) => [name, []]));
    for (const one of [ours, revision]) await one?.latency(20); // what a process does once, it has done
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
    const p50 = each(0.5);
    const onPostgres = Object.entries(p50).filter(
      ([name]) => ![ours.name, revision?.name, 'bullmq'].includes(name),
    );
    const fastest = Math.min(...onPostgres.map(([, ms]) => ms));
    return {
      messages,
      rounds: Object.fromEntries(measured),
      p50,
      ratioToFastestPeer: onPostgres.length > 0 ? p50[ours.name]! / fastest : null,
      ...(revision && { ratioToRevision: p50[ours.name]! / p50[revision.name]! }),
      p99: each(0.99),
      leftOut: field.leftOut,
    } satisfies Latency;
  } finally {
    await field.end();
  }
}
