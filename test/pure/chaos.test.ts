// The parts of the chaos harness that need no fleet: its plan, its command line, and how it judges. What it finds is shown by `npm run chaos -- --bugs`.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { bugs } from '../../chaos/bugs.ts';
import { deliveriesOf, doublesOf } from '../../chaos/deliveries.ts';
import { faultNames } from '../../chaos/fault.ts';
import type { Entry } from '../../chaos/journal.ts';
import { readOptions } from '../../chaos/options.ts';
import { mostAtOnce, staleWrites } from '../../chaos/overlap.ts';
import { planOf } from '../../chaos/plan.ts';
import type { Launch } from '../../chaos/processes.ts';
import { drawFrom } from '../../chaos/seed.ts';
import { slopeOf } from '../../chaos/slope.ts';
import type { Struck } from '../../chaos/strikes.ts';
import { p99Of } from '../../chaos/vitals.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const launch = (name: string, to?: number): Launch => ({
  name,
  pid: 1,
  from: 0,
  journal: '',
  ...(to !== undefined && { to }),
});

function run(work: string, attempt: number, at: readonly [number, number, number], by: Launch): Entry[] {
  const whats = ['began', 'did', 'ended'] as const;
  return whats.map((what, i) => ({
    work,
    message: 'm',
    attempt,
    what,
    at: at[i]!,
    launch: by,
    group: 'tenant-1',
  }));
}

const struck = (over: Partial<Struck>): Struck => ({
  fault: 'kill',
  text: '',
  mayDouble: true,
  from: 10_000,
  to: 11_000,
  launches: new Set(['a']),
  workers: 1,
  inFlight: 1,
  ...over,
});

describe('the plan', () => {
  it('is the same for the same seed, and has each fault before it has one again', () => {
    const plan = (seed: number) => planOf({ faults: faultNames, minutes: 1, draw: drawFrom(seed) });
    expect(plan(7)).toEqual(plan(7));
    expect(plan(7)).not.toEqual(plan(8));
    const first = plan(7).slice(0, faultNames.length);
    expect(new Set(first.map(({ fault }) => fault))).toEqual(new Set(faultNames));
    expect(first.every(({ lengthMs }) => lengthMs >= 1_000 && lengthMs <= 5_000)).toBe(true);
  });
});

describe('the command line', () => {
  it.each([
    [['--faults', 'kill,flood'], 'there is no fault flood; there are kill, stop'],
    [['--minutes', '0'], '--minutes is "0", and must be a number above 0'],
    [['--minutes', 'ten'], '--minutes is "ten"'],
    [['--seed=-1'], '--seed is "-1"'],
    [['--bug', 'typo'], 'there is no bug typo; there are settle'],
    [['--peer', 'agenda'], 'there is no peer agenda; there are pg-boss, '],
    [['--sead', '4'], "Unknown option '--sead'"],
  ])('refuses %j', (args, message) => {
    expect(() => readOptions(args, Object.keys(bugs))).toThrow(message);
  });

  it('ends with exit code 2 and the list of what there is, before it starts anything', () => {
    const args = ['chaos/main.ts', '--faults', 'flood'];
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
    expect(stderr).toContain('there is no fault flood; there are kill, stop, term, postgres');
    expect(status).toBe(2);
  });
});

describe('bugs put in on purpose', () => {
  it.each(Object.entries(bugs))('%s still fits the sources', (_, { edits }) => {
    for (const { file, from } of edits) expect(readFileSync(root + file, 'utf8').split(from)).toHaveLength(2);
  });
});

describe('the judgement', () => {
  it('explains a second delivery by a fault that hit the process of the first one, and by no other', () => {
    const [a, b] = [launch('a', 10_000), launch('b')];
    const entries = [...run('w', 1, [9_000, 9_500, 9_900], a), ...run('w', 2, [14_000, 14_100, 14_200], b)];
    const deliveries = deliveriesOf(entries, [], [a, b]);
    const by = (over: Partial<Struck>) =>
      doublesOf(deliveries, { struck: [struck(over)], afterMs: 6_000, slots: 5 })[0]?.by?.fault;
    expect(by({})).toBe('kill');
    expect(by({ launches: new Set(['b']) })).toBeUndefined();
    expect(by({ mayDouble: false, fault: 'term' })).toBeUndefined();
    expect(by({ from: 20_000, to: 21_000 })).toBeUndefined();
  });

  it('explains it also by a fault that came long after the effect, and at which the attempt failed', () => {
    const a = launch('a');
    const [began, did, last] = run('w', 1, [5_000, 7_900, 10_050], a) as [Entry, Entry, Entry];
    const again = run('w', 2, [14_000, 14_100, 14_200], a);
    const by = (...ends: Entry[]) =>
      doublesOf(deliveriesOf([began, did, ...ends, ...again], [], [a]), {
        struck: [struck({ fault: 'network' })],
        afterMs: 6_000,
        slots: 5,
      })[0]?.by?.fault;
    expect(by()).toBeUndefined();
    expect(by({ ...last, what: 'failed' })).toBe('network');
  });

  it('C: finds a settlement by an attempt that was not the newest any more', () => {
    const [a, b] = [launch('a'), launch('b')];
    const entries = [...run('w', 1, [0, 10, 500], a), ...run('w', 2, [400, 450, 600], b)];
    expect(staleWrites(entries, new Map([['w', [2]]]))).toEqual([]);
    expect(staleWrites(entries, new Map([['w', [1]]]))).toEqual(['w']);
  });

  it('L: finds starts above the limit of a group', () => {
    const a = launch('a');
    const entries = [0, 5, 9, 40].flatMap((from, i) => run(`w${i}`, 1, [from, from + 10, from + 20], a));
    expect(mostAtOnce(entries, 2)).toEqual(['w2']);
    expect(mostAtOnce(entries, 3)).toEqual([]);
  });
});

describe('the soak', () => {
  it('has a slope whose interval holds the true one in about 95 of 100 cases, and none without samples', () => {
    const draw = drawFrom(3);
    const samples = () =>
      Array.from({ length: 90 }, (_, i) => ({ hours: i / 360, value: 100 + i / 9 + draw.between(-3, 3) }));
    const held = Array.from({ length: 400 }, () => slopeOf(samples())!).filter(
      ({ low, high }) => low <= 40 && high >= 40,
    );
    expect(held.length / 400).toBeGreaterThan(0.92);
    expect(held.length / 400).toBeLessThan(0.98);
    expect(slopeOf(samples().slice(0, 2))).toBeUndefined();
  });

  it('reads a percentile from the buckets that were filled since the last sample', () => {
    const before = new Map([
      [0.1, 50],
      [1, 50],
      [Number.POSITIVE_INFINITY, 50],
    ]);
    const after = new Map([
      [0.1, 140],
      [1, 150],
      [Number.POSITIVE_INFINITY, 150],
    ]);
    expect(p99Of(after, before)).toBeCloseTo(910, 0);
    expect(p99Of(after, after)).toBeNull();
  });
});
