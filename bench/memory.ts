// The memory benchmark: resident memory over an hour, of idle processes and of a worker at a steady trickle. A warm process does not grow, so the
// slope over the second half tells warm-up from a leak.

import { setTimeout as sleep } from 'node:timers/promises';
import { jobMessages } from '../src/define/messages.ts';
import { createNotify } from '../src/outbox/notify.ts';
import { createPostgresOutbox } from '../src/store/postgres.ts';
import { noop } from './app.ts';
import { residentMb } from './cpu.ts';
import { openField } from './field.ts';
import { tell } from './progress.ts';
import type { Role } from './work.ts';

const roles: readonly Role[] = ['scheduler', 'relay', 'email', 'jobs'];

const sampleMs = 15_000;

type Sample = { readonly minutes: number; readonly mb: Readonly<Record<string, number>> };

/**
 * @param minutes duration; below half an hour the figures are those of warming up
 * @param perSecond messages that `jobs` delivers; the other processes are idle
 */
export async function memory({
  minutes = 60,
  perSecond = 20,
}: { minutes?: number; perSecond?: number } = {}) {
  const field = await openField({ peers: [], roles: [] });
  try {
    const pids: [Role, number][] = [];
    for (const role of roles) pids.push([role, (await field.ours.start(role)).pid]);
    const { db } = field.ours;
    const outbox = createPostgresOutbox(db);
    const notify = createNotify(db, (error) => console.error(error));
    const samples: Sample[] = [];
    const began = performance.now();
    let sent = 0;
    for (;;) {
      const ms = performance.now() - began;
      if (ms >= samples.length * sampleMs) samples.push(sampleOf(pids, ms));
      if (ms >= minutes * 60_000) break;
      if (sent < (ms / 1_000) * perSecond) {
        await outbox.enqueue(await jobMessages(noop, [{ payload: {} }]));
        notify(['jobs']);
        sent += 1;
      } else await sleep(5);
    }
    return {
      minutes,
      perSecond,
      sent,
      processes: Object.fromEntries(roles.map((role) => [role, figuresOf(role, samples)])),
      rounds: samples,
    };
  } finally {
    await field.end();
  }
}

function sampleOf(pids: readonly (readonly [Role, number])[], ms: number): Sample {
  const mb = Object.fromEntries(pids.map(([role, pid]) => [role, residentMb(pid)]));
  const sample = { minutes: ms / 60_000, mb };
  if (process.env['BENCH_SAMPLES']) tell(JSON.stringify(sample));
  return sample;
}

function figuresOf(role: Role, samples: readonly Sample[]) {
  const points = samples.map(({ minutes, mb }) => [minutes, mb[role]!] as const);
  const half = points.slice(Math.floor(points.length / 2));
  const lows = [...Map.groupBy(half, ([minutes]) => Math.floor(minutes / 5)).values()].map((its) =>
    its.reduce((least, one) => (one[1] < least[1] ? one : least)),
  );
  return {
    startMb: points[0]![1],
    halfMb: half[0]![1],
    endMb: points.at(-1)![1],
    /** Slope over the second half, from all samples. */
    mbPerHour: 60 * slope(half),
    /** Slope of the minimum of each five minutes: what collections leave, without garbage that is not collected yet. */
    floorMbPerHour: 60 * slope(lows),
  };
}

/** Slope of the line with the least squares; 0 for fewer than two points. */
function slope(points: readonly (readonly [number, number])[]): number {
  if (points.length < 2) return 0;
  const mean = (at: 0 | 1): number => points.reduce((sum, point) => sum + point[at], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const above = points.reduce((sum, [px, py]) => sum + (px - x) * (py - y), 0);
  return above / points.reduce((sum, [px]) => sum + (px - x) ** 2, 0);
}
