// The latency benchmark: from the commit to the start of the handler, one message at a time on an idle fleet, beside the peers. For an action:
// from its commit to the start of the email, the listener and the job that it triggers.

import { steps, type Contender, type Step, type Work } from './contender.ts';
import { openField, type Field, type PeerName } from './field.ts';
import { count, during } from './progress.ts';
import { median, quantile, summary, type Summary } from './rounds.ts';

export type Latency = {
  readonly messages: number;
  /** Milliseconds of every message, by contender and round. */
  readonly rounds: Readonly<Record<string, readonly (readonly number[])[]>>;
  /** Milliseconds: medians of the rounds. */
  readonly p50: Readonly<Record<string, number>>;
  readonly p99: Readonly<Record<string, number>>;
  /** Our p50 to that of the fastest peer on Postgres: below 1, ours is lower; null without one. */
  readonly ratioToFastestPeer: number | null;
  /** Our p50 to that of the earlier commit, if one was requested. */
  readonly ratioToRevision?: number;
  /** Peers that were not measured, and why. */
  readonly leftOut: Readonly<Record<string, string>>;
};

export type LatencyOptions = {
  readonly messages?: number;
  readonly rounds?: number;
  readonly peers?: readonly PeerName[] | undefined;
  readonly against?: string | undefined;
};

export async function latency(options: LatencyOptions = {}): Promise<Latency> {
  const { messages = 200 } = options;
  const ask = (contender: Contender, size = messages) => contender.latency(size);
  return measure({ name: 'latency', work: 'noop', messages, ask }, options, (measured, field) => {
    const { ours, revision } = field;
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
    };
  });
}

/** The latency of one step of an action. */
export type StepLatency = {
  /** Milliseconds: summaries of the rounds' p50 and p99. */
  readonly p50: Summary;
  readonly p99: Summary;
  /** Median of the rounds' ratios of p50, ours to this contender's: below 1, ours is lower. Absent for ours. */
  readonly oursToThis?: number;
};

export type ActionLatency = { readonly actions: number } & Readonly<
  Record<Step, Readonly<Record<string, StepLatency>>>
>;

export async function action(options: LatencyOptions = {}): Promise<ActionLatency> {
  const { messages = 200 } = options;
  const ask = (contender: Contender, size = messages) => contender.action(size);
  return measure({ name: 'work-action', work: 'action', messages, ask }, options, (measured, { ours }) => {
    const at = (name: string, step: Step, q: number): number[] =>
      measured.get(name)!.map((round) => quantile(round[step], q));
    const of = (name: string, step: Step): StepLatency => {
      const [p50, mine] = [at(name, step, 0.5), at(ours.name, step, 0.5)];
      const ratio = median(mine.map((ms, i) => ms / p50[i]!));
      return {
        p50: summary(p50),
        p99: summary(at(name, step, 0.99)),
        ...(name !== ours.name && { oursToThis: ratio }),
      };
    };
    const byStep = steps.map((step) => [
      step,
      Object.fromEntries([...measured.keys()].map((name) => [name, of(name, step)])),
    ]);
    return {
      actions: messages,
      ...(Object.fromEntries(byStep) as Record<Step, Record<string, StepLatency>>),
    };
  });
}

type Asked<T> = {
  /** Name of the benchmark. */
  readonly name: string;
  readonly work: Work;
  readonly messages: number;
  /** Default size: `messages`. */
  ask(contender: Contender, size?: number): Promise<T>;
};

/** Measures all contenders in rounds. @param tell makes the result, from a measurement for each contender and round */
async function measure<T, Told>(
  { name, work, messages, ask }: Asked<T>,
  { rounds = 3, peers, against }: LatencyOptions,
  tell: (measured: ReadonlyMap<string, T[]>, field: Field) => Told,
): Promise<Told> {
  const field = await openField({ work, against, ...(peers && { peers }) });
  const { ours, revision } = field;
  try {
    const contenders = [ours, ...(revision ? [revision] : []), ...field.peers];
    const measured = new Map<string, T[]>(contenders.map((one) => [one.name, []]));
    for (const one of [ours, revision]) if (one) await ask(one, 20); // keeps one-time costs of a process out
    for (let round = 0; round < rounds; round++)
      for (const contender of round % 2 === 0 ? contenders : contenders.toReversed()) {
        const what = `${name}, round ${round + 1} of ${rounds}: ${contender.name}, ${count(messages)} ${work === 'action' ? 'actions' : 'messages'}`;
        const ms = await field.attempt(contender, () => during(what, ask(contender)));
        if (ms) measured.get(contender.name)!.push(ms);
      }
    for (const missing of Object.keys(field.leftOut)) measured.delete(missing);
    return tell(measured, field);
  } finally {
    await field.end();
  }
}
