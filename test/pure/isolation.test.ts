// The isolation of suspects in a process with workers for several databases. Doubled: time, and the workers (objects that stand for them).

import { describe, expect, it } from 'vitest';
import { createIsolation, type InFlight } from '../../src/process/isolation.ts';

const [eu, us] = [{ of: 'eu' }, { of: 'us' }];

function world() {
  let now = 0;
  const isolation = createIsolation({ now: () => now }, () => 0);
  return {
    isolation,
    pass: (ms: number) => void (now += ms),
    begin(queue = 'jobs') {
      const one: { -readonly [K in keyof InFlight]: InFlight[K] } = { queue, at: now };
      isolation.begun(one);
      return { one, over: () => void (one.overAt = now), settle: () => isolation.ended(one) };
    },
  };
}

describe('F: messages whose database is away', () => {
  it('let a suspect of another database begin when only their settlement is missing', () => {
    const { isolation, begin, pass } = world();
    const stranded = begin();
    isolation.want(eu, true);
    pass(60_000);
    expect(isolation.mayEnter(true)).toBe(false); // its handler runs
    stranded.over();
    pass(1_000);
    expect(isolation.mayEnter(true)).toBe(false); // it may be settled in a moment
    pass(1_001);
    expect(isolation.mayEnter(true)).toBe(true);
    isolation.enter(eu);
    const suspect = begin();
    expect(isolation.admits('email')).toBe(false);
    stranded.settle();
    expect(isolation.admits('email')).toBe(false);
    suspect.over();
    suspect.settle();
    isolation.leave(eu);
    expect(isolation.admits('email')).toBe(true);
  });

  it('stop no claims when one of them is the suspect that ran', () => {
    const { isolation, begin, pass } = world();
    isolation.want(us, true);
    isolation.enter(us);
    const stranded = begin();
    isolation.want(us, false);
    pass(60_000);
    expect([isolation.admits('jobs'), isolation.isolating()]).toEqual([false, 1]);
    stranded.over();
    pass(2_001);
    expect([isolation.admits('jobs'), isolation.isolating()]).toEqual([true, 0]);
    // Another suspect runs meanwhile, and the first is settled at last.
    isolation.enter(eu);
    begin();
    stranded.settle();
    isolation.leave(us);
    expect([isolation.admits('jobs'), isolation.mayEnter(false)]).toEqual([false, false]);
  });

  it('do not make their queue one of long deliveries', () => {
    const { isolation, begin, pass } = world();
    const stranded = begin('jobs');
    stranded.over();
    pass(3_600_000);
    stranded.settle();
    begin('email');
    isolation.want(eu, true);
    pass(2_001);
    expect([isolation.admits('jobs'), isolation.admits('email')]).toEqual([true, true]);
  });
});
