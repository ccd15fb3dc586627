// What metrics cost a drain: relay and worker as deployed, their metrics switched off and on again every quarter of a second of it. Two drains
// of the same processes, and two processes of the same code, differ by more than metrics cost.

import { setTimeout as sleep } from 'node:timers/promises';
import { startPostgres } from '../dev/postgres.ts';
import type { Child } from './child.ts';
import { summary } from './rounds.ts';
import type { Snapshot } from './switch.ts';
import { waybill } from './waybill.ts';

/** What was done, in what time, with what processor time. */
type Work = { readonly attempts: number; readonly ms: number; readonly cpuUs: number };
type Slice = Work & { readonly on: boolean };

const sliceMs = 250;

export async function metrics({ messages = 200_000, rounds = 3 }: { messages?: number; rounds?: number }) {
  const server = await startPostgres({ persistent: false });
  const ours = await waybill(server.url(), [], ['./bench/switch.ts']);
  try {
    const children = [await ours.start('jobs'), await ours.start('relay')];
    const drains: Record<'on' | 'off', Work>[] = [];
    for (let round = 0; round <= rounds; round++) {
      await ours.fill(round === 0 ? messages / 4 : messages);
      const slices = await sliced(children, ours.drain(messages, true));
      if (round === 0) continue; // it warms
      drains.push({ on: sum(slices, true), off: sum(slices, false) });
    }
    const of = (figure: (work: Work) => number) => ({
      on: summary(drains.map(({ on }) => figure(on))),
      off: summary(drains.map(({ off }) => figure(off))),
      /** To the figure with metrics. */
      offToOn: summary(drains.map(({ on, off }) => figure(off) / figure(on))),
    });
    return {
      messages,
      perSecond: of(({ attempts, ms }) => (attempts * 1_000) / ms),
      /** Microseconds of the processes' time for each message. */
      processes: of(({ attempts, cpuUs }) => cpuUs / attempts),
    };
  } finally {
    await ours.end();
    await server.end();
  }
}

/** The slices of a drain, in pairs whose order is drawn: heartbeats and polls come in step with any fixed one. Those at its ends are left out. */
async function sliced(children: readonly Child[], drained: Promise<unknown>): Promise<Slice[]> {
  let over = false;
  const ending = drained.finally(() => (over = true));
  const slices: Slice[] = [];
  let before: readonly Snapshot[] | undefined;
  let was = false;
  for (let i = 0; !over; i++) {
    const on = i % 2 === 0 ? Math.random() < 0.5 : !was;
    const now = (await Promise.all(children.map((child) => child.ask('switch', on)))) as Snapshot[];
    if (before) slices.push({ on: was, ...work(before, now) });
    [before, was] = [now, on];
    await sleep(sliceMs);
  }
  await ending;
  return slices.slice(2, -2);
}

/** The worker, which comes first, has the attempts and the time; processor time is of all. */
function work(before: readonly Snapshot[], now: readonly Snapshot[]): Work {
  const passed = (figure: keyof Snapshot) => now.map((one, i) => one[figure] - before[i]![figure]);
  const [[attempts], [ms], cpuUs] = [passed('attempts'), passed('ms'), passed('cpuUs')];
  return { attempts: attempts!, ms: ms!, cpuUs: cpuUs.reduce((all, us) => all + us) };
}

function sum(slices: readonly Slice[], on: boolean): Work {
  const add = (a: Work, b: Work): Work => ({
    attempts: a.attempts + b.attempts,
    ms: a.ms + b.ms,
    cpuUs: a.cpuUs + b.cpuUs,
  });
  return slices.filter((one) => one.on === on).reduce(add, { attempts: 0, ms: 0, cpuUs: 0 });
}
