// The shortcut and the relay, each without the other: workers hear of commits themselves, and lose nothing when they do not.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { outboxChannel } from '../../src/outbox/nudge.ts';
import type { Running } from '../support/fleet.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { until } from '../support/wait.ts';

let world: World;
let relay: Running;
beforeAll(async () => {
  world = await fleetWorld();
  relay = await world.fleet.start('relay'); // pg-boss's schema is its work
  await Promise.all([world.fleet.start('jobs'), world.fleet.start('jobs')]);
});
afterAll(() => world.end());

const events = { kind: 'event', queue: 'events' } as const;

const nudge = (hint: string): Promise<unknown> =>
  world.database.db.executeSql(`notify ${outboxChannel}, '${hint}'`);

const open = (names: readonly string[]): Promise<number> =>
  world.count(
    `select count(*)::int as n from waybill.outbox_messages where name = any($1) and delivered_at is null`,
    [names],
  );

/** The listener `two` fails once. */
const failed = (): Promise<number> =>
  world.count(
    `select count(*)::int as n from waybill.outbox_messages where name = 'two' and status = 'failed'`,
  );

describe('the shortcut', () => {
  it('B, C: without any relay, two workers that hear of events deliver them and what they lead to, each once', async () => {
    expect(await relay.stop()).toBe(0);
    await world.enqueue('happened', { n: 1 }, 60, events);
    await nudge('events');
    await until(async () => {
      if ((await open(['happened', 'one'])) === 0 && (await failed()) === 60) return true;
      await nudge(''); // for what no slot was free
      return false;
    });
    expect(await world.marks('one')).toHaveProperty('size', 60);
    expect([...(await world.marks('one')).values()].every((times) => times === 1)).toBe(true);
  });

  it('B: without any relay, what waits in a lane is delivered when a nudge names the lane', async () => {
    for (const n of [4, 5]) {
      await world.enqueue('happened', { n }, 1, { ...events, priority: 3 });
      await until(async () => {
        if ((await open(['happened'])) === 0) return true;
        await nudge('events:3');
        return false;
      });
    }
  });

  it('F: what has an attempt behind it is left to the relay, and so is a queue with a job that runs only so often', async () => {
    await world.enqueue('narrow', { ms: 0 }, 3);
    await nudge('jobs');
    await world.enqueue('happened', { n: 2 }, 1, { ...events, priority: 1 });
    await nudge('');
    await until(async () => (await open(['happened'])) === 0);
    expect(await failed()).toBeGreaterThanOrEqual(60);
    expect(await open(['narrow'])).toBe(3);
    expect(await world.count('select max(attempts) as n from waybill.outbox_messages')).toBe(1);
  });

  it('B: without a nudge, and with a relay again, everything is delivered', async () => {
    await world.fleet.start('relay');
    await world.enqueue('happened', { n: 3 }, 20, events);
    await world.quiet();
    expect(await world.counts()).toEqual({ delivered: (60 + 2 + 1 + 20) * 3 + 3 });
  });
});
