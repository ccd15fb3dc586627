// The watch over changes for open pages, with a clock of the test and a database that only counts.

import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Executor } from '../../src/db/executor.ts';
import { readChanges } from '../../src/operate/changes.ts';
import { createChangeWatch, type Watch, type Watcher } from '../../src/http/change-watch.ts';

let statements = 0;
let changes = 0;
let ended: string[] = [];
let isAway = false;
const db: Executor = {
  async executeSql<Row>() {
    statements += 1;
    if (isAway) throw new Error('away');
    return { rows: [{ recorded: String(changes), endedSessions: ended } as Row] };
  },
};

let watch: Watch;
const failed = vi.fn<(error: unknown) => void>();
beforeEach(() => {
  vi.useFakeTimers();
  failed.mockClear();
  [statements, changes, ended, isAway] = [0, 0, [], false];
  watch = createChangeWatch(db, { now: () => Date.now() }, failed);
});
afterEach(() => {
  watch.end();
  vi.useRealTimers();
});

const calls = () => ({
  changed: vi.fn<Watcher['changed']>(),
  same: vi.fn<() => void>(),
  alive: vi.fn<() => void>(),
  end: vi.fn<() => void>(),
});
const reader = (more: Partial<Pick<Watcher, 'session' | 'cost'>> = {}) => ({
  ...calls(),
  session: null,
  cost: 0,
  seen: undefined,
  ...more,
});
const session = { id: 's', until: Infinity };

async function pass(seconds: number, each: () => void = () => undefined): Promise<void> {
  for (let i = 0; i < seconds; i += 1) {
    each();
    await vi.advanceTimersByTimeAsync(1_000);
  }
}

it.each([
  ['nothing changes', 0],
  ['something changes every minute', 60],
  ['something changes always', 1],
])('a page that is open for an hour costs at most one statement a second while %s', async (_, every) => {
  const cost = 12;
  // The page reads itself again, and connects again, which looks after its session.
  const changed = (): void => void (statements += cost);
  const end = (): void => {
    if (!isOver) watch.add({ ...reader({ cost }), seen, changed, end });
    statements += 1;
  };
  const { snapshot: seen } = await readChanges(db, []);
  let isOver = false;
  watch.add({ ...reader({ cost }), seen, changed, end });
  let second = 0;
  await pass(3_600, () => every > 0 && second++ % every === 0 && (changes += 1));
  isOver = true;
  expect(statements).toBeGreaterThan(3_000);
  expect(statements).toBeLessThanOrEqual(3_600);
});

it('a hundred pages look once a second together, and without a page nothing looks', async () => {
  const leave = Array.from({ length: 100 }, () => watch.add(reader()));
  await pass(60);
  expect(statements).toBeLessThanOrEqual(61);
  for (const one of leave) one();
  await pass(2);
  statements = 0;
  await pass(60);
  expect(statements).toBe(0);
});

it('a change is told within a second, by name; what stays is confirmed every five', async () => {
  const one = reader();
  watch.add(one);
  await pass(1);
  expect([one.same.mock.calls.length, one.changed.mock.calls.length]).toEqual([1, 0]);
  changes += 1;
  await pass(2);
  expect(one.changed.mock.calls).toEqual([[['recorded']]]);
  await pass(11);
  expect(one.same.mock.calls.length).toBe(3);
});

it('while the database is away nothing is confirmed, and connections are kept', async () => {
  const one = reader();
  watch.add(one);
  await pass(1);
  isAway = true;
  await pass(60);
  expect([one.same.mock.calls.length, one.changed.mock.calls.length]).toEqual([1, 0]);
  expect(one.alive.mock.calls.length).toBeGreaterThanOrEqual(3);
  expect(failed).toHaveBeenCalledTimes(1);
  isAway = false;
  await pass(2);
  expect(one.changed).toHaveBeenCalledTimes(1);
});

it('a stream ends with its session, after ten minutes, and with the server', async () => {
  const [own, other, last] = [
    reader({ session }),
    reader({ session: { id: 't', until: Date.now() + 30_000 } }),
    reader(),
  ];
  for (const one of [own, other, last]) watch.add(one);
  await pass(2);
  ended = ['s'];
  await pass(2);
  expect([own.end.mock.calls.length, other.end.mock.calls.length]).toEqual([1, 0]);
  await pass(30);
  expect(other.end).toHaveBeenCalledTimes(1);
  await pass(570);
  expect(last.end).toHaveBeenCalledTimes(1);
  const late = reader();
  watch.add(late);
  watch.end();
  expect(late.end).toHaveBeenCalledTimes(1);
  expect(() => watch.add(reader())).toThrow('shutting down');
});

it('a session has four streams and a process 200; a place becomes free again', () => {
  const leave = Array.from({ length: 4 }, () => watch.add(reader({ session })));
  expect(() => watch.add(reader({ session }))).toThrow('this session has 4 open streams');
  leave[0]!();
  watch.add(reader({ session }));
  for (let i = 0; i < 196; i += 1) watch.add(reader());
  expect(() => watch.add(reader())).toThrow('200 open streams');
});
