// The soak: a steady load at 60 % of what the fleet can do here, a kill now and then, and the slopes of what must not grow.

import { setTimeout as sleep } from 'node:timers/promises';
import { now } from './clock.ts';
import { startLoad } from './load.ts';
import { machineOf } from './report.ts';
import type { RunOptions } from './run.ts';
import { drawFrom } from './seed.ts';
import { slopeOf, type Slope } from './slope.ts';
import { leaseMs, withStage, type Stage } from './stage.ts';
import { signs, vitalsOf, type Buckets, type Sign, type Vitals } from './vitals.ts';

/**
 * Growth an hour that fails the soak, where the whole confidence interval is above it. Memory and files are of the six or seven processes that are not
 * killed.
 */
export const bounds: Readonly<Record<Sign, number>> = {
  'memory MB': 60,
  'open files': 12,
  connections: 6,
  'dead rows': 20_000,
  'index MB': 40,
  'claim p99 ms': 500,
};

const sampleMs = 10_000;
const measureMs = 20_000;
const share = 0.6;
/** Killed in turn. */
const victims = ['jobs-2', 'email-2'];

export type Trend = {
  readonly sign: Sign;
  readonly first: number;
  readonly last: number;
  readonly slope: Slope | null;
  readonly isAbove: boolean;
};

export type SoakReport = {
  readonly minutes: number;
  readonly machine: Readonly<Record<string, string>>;
  readonly capacity: number;
  readonly rate: number;
  readonly kills: number;
  readonly samples: readonly { readonly seconds: number; readonly vitals: Vitals }[];
  readonly trends: readonly Trend[];
  readonly isBroken: boolean;
};

export const soak = (options: RunOptions): Promise<SoakReport> =>
  withStage(options.subject, false, (stage) => soakOn(stage, options), { keepMs: 60_000 });

async function soakOn(stage: Stage, { minutes, view, seed, signal }: RunOptions): Promise<SoakReport> {
  const { subject, db, processes, server } = stage;
  await subject.settleIn?.(db);
  view.say(`measures for ${measureMs / 1_000} s how many orders a second this machine delivers`);
  const capacity = await capacityOf(stage, seed);
  const rate = share * capacity;
  view.say(`it delivers ${capacity.toFixed(1)}; the load is ${rate.toFixed(1)} orders a second`);
  const load = startLoad({ db, subject, draw: drawFrom(seed), rate, leaseMs });
  const from = now();
  const over = AbortSignal.any([signal, AbortSignal.timeout(minutes * 60_000)]);
  const killing = killNowAndThen(stage, Math.min(300_000, (minutes * 60_000) / 6), over);
  const steady = processes.members.filter(({ spec }) => !victims.includes(spec.name));
  const samples: { seconds: number; vitals: Vitals }[] = [];
  for (let buckets: Buckets = new Map(); !over.aborted;) {
    await sleep(sampleMs, undefined, { signal: over }).catch(() => undefined);
    if (over.aborted) break;
    const read = await vitalsOf(stage, steady, buckets);
    buckets = read.buckets;
    samples.push({ seconds: (now() - from) / 1_000, vitals: read.vitals });
    view.say(lineOf(samples.at(-1)!));
  }
  const kills = await killing;
  await load.stop();
  const trends = signs.map((sign) => trendOf(sign, samples));
  const machine = machineOf(server.version);
  return {
    minutes,
    machine,
    capacity,
    rate,
    kills,
    samples,
    trends,
    isBroken: trends.some(({ isAbove }) => isAbove),
  };
}

/** Orders a second: as many as possible are placed at once, and what is delivered in the second half of the time is counted. */
async function capacityOf(stage: Stage, seed: number): Promise<number> {
  const { subject, db, mail } = stage;
  const done = async (): Promise<number> =>
    (await db.query<{ n: number }>('select count(*)::int as n from chaos.effects')).rows[0]!.n +
    mail.mails.length;
  const load = startLoad({ db, subject, draw: drawFrom(seed + 7), rate: 200, leaseMs });
  await sleep(measureMs / 2);
  const [before, from] = [await done(), now()];
  await sleep(measureMs / 2);
  const perSecond = (1_000 * ((await done()) - before)) / (now() - from);
  await load.stop();
  while ((await subject.waiting(db)).length > 0) await sleep(200);
  return perSecond / subject.parts.length;
}

async function killNowAndThen({ processes }: Stage, everyMs: number, over: AbortSignal): Promise<number> {
  for (let kills = 0; ; kills++) {
    await sleep(everyMs, undefined, { signal: over }).catch(() => undefined);
    if (over.aborted) return kills;
    processes.members.find(({ spec }) => spec.name === victims[kills % victims.length])?.signal('SIGKILL');
  }
}

/** Without the first quarter, in which caches fill. */
function trendOf(sign: Sign, samples: SoakReport['samples']): Trend {
  const known = samples.slice(Math.floor(samples.length / 4)).flatMap(({ seconds, vitals }) => {
    const value = vitals[sign];
    return value === null ? [] : [{ hours: seconds / 3_600, value }];
  });
  const slope = slopeOf(known) ?? null;
  const isAbove = slope !== null && slope.low > bounds[sign];
  return {
    sign,
    first: known[0]?.value ?? Number.NaN,
    last: known.at(-1)?.value ?? Number.NaN,
    slope,
    isAbove,
  };
}

const shown = (value: number | null): string => (value === null ? '–' : value.toFixed(value < 10 ? 1 : 0));

const lineOf = ({ seconds, vitals }: SoakReport['samples'][number]): string =>
  `${Math.round(seconds)} s: ${signs.map((sign) => `${sign} ${shown(vitals[sign])}`).join(', ')}`;

export function soakLines(report: SoakReport): string[] {
  const { minutes, machine, capacity, rate, kills, trends } = report;
  return [
    `soak of ${minutes} minutes, ${Object.values(machine).join(', ')}`,
    `${rate.toFixed(1)} orders a second, ${share * 100} % of ${capacity.toFixed(1)}; ${kills} kills; ${report.samples.length} samples`,
    '',
    ...trends.map(({ sign, first, last, slope, isAbove }) => {
      const growth = slope
        ? `${shown(slope.perHour)} an hour (95 %: ${shown(slope.low)} to ${shown(slope.high)})`
        : 'too few samples';
      return `${isAbove ? 'ABOVE  ' : 'within '} ${sign.padEnd(12)} ${shown(first)} → ${shown(last)}: ${growth}, bound ${bounds[sign]}`;
    }),
  ];
}
