// Debounce and replace in a fleet. Real: Postgres, pg-boss, a relay and two workers. Doubled: nothing.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { until } from '../support/wait.ts';

let world: World;
beforeAll(async () => {
  world = await fleetWorld();
  await Promise.all([world.fleet.start('relay'), world.fleet.start('jobs'), world.fleet.start('jobs')]);
});
afterAll(() => world.end());

const runs = async () =>
  (
    await world.database.db.executeSql<{ id: string; from: number; to: number }>(
      `select message_id as id, extract(epoch from k.at)::float8 - (m.payload ->> 'ms')::float8 / 1000 as from, extract(epoch from k.at)::float8 as to
         from marks k join waybill.outbox_messages m on m.id = k.message_id order by k.at`,
    )
  ).rows;

it('a debounced message is delivered once, after the last recording', async () => {
  const ids = new Set<string>();
  for (let i = 0; i < 10; i++)
    ids.add((await world.enqueue('work', { ms: i }, 1, { deliveryKey: 'd', debounce: '500ms' }))[0]!);
  await world.quiet();
  expect([ids.size, await world.marks('work')]).toEqual([1, new Map([[[...ids][0], 1]])]);
});

it('a message recorded while an older one runs is delivered after it, by whichever worker', async () => {
  const replace = { deliveryKey: 'r', onDuplicate: 'replace' } as const;
  const [older] = await world.enqueue('work', { ms: 1_500 }, 1, replace);
  const sending = `select count(*)::int as n from waybill.outbox_messages where id = $1 and status = 'sending'`;
  await until(async () => (await world.count(sending, [older])) === 1, { what: 'the older message to run' });
  const [newer] = await world.enqueue('work', { ms: 1 }, 1, replace);
  expect(newer).not.toBe(older);
  expect(await world.enqueue('work', { ms: 2 }, 1, replace)).toEqual([newer]);
  await world.quiet();
  const [first, second] = (await runs()).slice(-2);
  expect([first!.id, second!.id]).toEqual([older, newer]);
  expect(second!.from).toBeGreaterThan(first!.to);
  expect((await verifyOutbox(world.database.db)).findings).toEqual([]);
});
