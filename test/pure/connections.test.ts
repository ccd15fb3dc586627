// How many sends run at once, and what a server's "too many" does to it. The clock is the test's.

import { expect, test } from 'vitest';
import { createConnections, type Connections, type Seat } from '../../src/email/smtp/connections.ts';

let now = 0;
const clock = { now: () => now };
const never = new AbortController().signal;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** As many as get in at once. */
async function fill(connections: Connections): Promise<Seat[]> {
  const seats: Seat[] = [];
  const ending = new AbortController();
  const all = Array.from({ length: 20 }, () =>
    connections.enter(ending.signal).then(
      (seat) => seats.push(seat),
      () => undefined,
    ),
  );
  await turn();
  ending.abort();
  await Promise.all(all);
  return seats;
}

test('half as many when there are too many, told once by those that ran together, and one more after each quiet time', async () => {
  const connections = createConnections(5, clock);
  const first = await fill(connections);
  expect(first).toHaveLength(5);
  expect(first.map((seat) => seat.tooMany())).toEqual([2, undefined, undefined, undefined, undefined]);
  for (const seat of first) seat.leave();
  const second = await fill(connections);
  expect(second).toHaveLength(2);
  expect(second[0]!.tooMany()).toBe(1);
  for (const seat of second) seat.leave();
  for (const expected of [1, 2, 3, 4, 5, 5]) {
    const seats = await fill(connections);
    expect(seats).toHaveLength(expected);
    for (const seat of seats) seat.leave();
    now += 5 * 60_000;
  }
});

test('never fewer than one', async () => {
  const connections = createConnections(1, clock);
  const seat = await connections.enter(never);
  expect(seat.tooMany()).toBeUndefined();
  seat.leave();
  expect(await fill(connections)).toHaveLength(1);
});

test('who waits goes on when there is room, in turn, and leaves when it is told to', async () => {
  const connections = createConnections(1, clock);
  const seat = await connections.enter(never);
  const ending = new AbortController();
  const left = connections.enter(ending.signal);
  const next = connections.enter(never);
  ending.abort(new Error('enough'));
  await expect(left).rejects.toThrow('enough');
  await expect(connections.enter(ending.signal)).rejects.toThrow('enough');
  seat.leave();
  (await next).leave();
});
