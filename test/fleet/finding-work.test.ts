// NOTIFY, wake-ups and polls, each without the others: workers find work by any of them, and lose nothing. Real: Postgres, pg-boss, processes.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { outboxChannel } from '../../src/outbox/notify.ts';
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

const notify = (payload: string): Promise<unknown> =>
  world.database.db.executeSql(`notify ${outboxChannel}, '${payload}'`);

const open = (names: readonly string[]): Promise<number> =>
  world.count(
    `select count(*)::int as n from waybill.outbox_messages where name = any($1) and delivered_at is null`,
    [names],
  );

describe('where work is found', () => {
  it('B, C: without any relay, two workers that hear of events deliver them and what they lead to, retries too, each once', async () => {
    expect(await relay.stop()).toBe(0);
    await world.enqueue('happened', { n: 1 }, 60, events);
    await notify('events');
    await until(async () => {
      return (await open(['happened', 'one', 'two'])) === 0;
    });
    expect(await world.marks('one')).toHaveProperty('size', 60);
    expect([...(await world.marks('one')).values()].every((times) => times === 1)).toBe(true);
  });

  it('B: without any relay, what waits in a queue at a priority is delivered when a NOTIFY names it', async () => {
    for (const n of [4, 5]) {
      await world.enqueue('happened', { n }, 1, { ...events, priority: 3 });
      await notify('events:3');
      await until(async () => (await open(['happened'])) === 0);
    }
  });

  it('B: without any relay and any NOTIFY, the next poll finds what is due, also in a queue with a limit', async () => {
    await world.enqueue('narrow', { ms: 0 }, 3, { queue: 'narrow' });
    await world.enqueue('happened', { n: 2 }, 1, { ...events, priority: 1 });
    await until(async () => (await open(['happened', 'narrow'])) === 0);
  });

  it.each([
    ['nearly 8,000 characters', 'jobs:0 '.repeat(1_142)],
    ['garbage', `:: jobs: events:99999 ':1 ${'x'.repeat(300)} --`],
    ['a queue that nobody works', 'nobody:0'],
  ])('a NOTIFY of %s stops nothing', async (_, payload) => {
    await world.database.db.executeSql(`select pg_notify('${outboxChannel}', $1)`, [payload]);
    await world.enqueue('happened', { n: 6 }, 1, events);
    await notify('events:0');
    await until(async () => (await open(['happened', 'one', 'two'])) === 0);
  });

  it('B: without NOTIFY, and with a relay again, everything is delivered', async () => {
    await world.fleet.start('relay');
    await world.enqueue('happened', { n: 3 }, 20, events);
    await world.quiet();
    expect(await world.counts()).toEqual({ delivered: (60 + 2 + 1 + 3 + 20) * 3 + 3 });
  });
});
