// Order keys in a fleet (invariant K). Real: Postgres, pg-boss, processes, kill -9.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { until } from '../support/wait.ts';

let world: World;
beforeAll(async () => {
  world = await fleetWorld({ WAYBILL_POLL_INTERVAL: '2s' });
  await world.fleet.start('relay');
});
afterAll(() => world.end());

type Mark = { readonly id: string; readonly key: string; readonly at: Date };

/** The messages of each key in the order in which they were worked, and in the order of their commits. */
async function sequences(name: string): Promise<Map<string, { worked: string[]; committed: string[] }>> {
  const sql = `
    select m.id::text as id, m.order_key as key, min(k.at) as at
      from waybill.outbox_messages m join marks k on k.message_id = m.id
     where m.name = $1 group by m.id, m.order_key, m.order_position order by m.order_position`;
  const { rows } = await world.database.db.executeSql<Mark>(sql, [name]);
  const ids = (marks: readonly Mark[]): string[] => marks.map(({ id }) => id);
  return new Map(
    [...Map.groupBy(rows, ({ key }) => key)].map(([key, its]) => [
      key,
      { worked: ids(its.toSorted((a, b) => a.at.getTime() - b.at.getTime())), committed: ids(its) },
    ]),
  );
}

async function expectInOrder(name: string, keys: number, of: number): Promise<void> {
  const all = await sequences(name);
  expect(all.size).toBe(keys);
  for (const { worked, committed } of all.values()) {
    expect(committed).toHaveLength(of);
    expect(worked).toEqual(committed);
  }
}

describe('messages with order keys', () => {
  it('K: do not wait for a poll between one another', async () => {
    const jobs = await world.fleet.start('jobs');
    await world.enqueue('work', { ms: 1 }, 50, { orderKey: 'one' });
    await world.database.db.executeSql(`notify waybill_outbox, 'jobs:0'`);
    await until(async () => (await world.counts()).delivered === 50, { timeoutMs: 8_000 });
    await expectInOrder('work', 1, 50);
    expect(await jobs.stop()).toBe(0);
  });

  it('K: are in order although workers are killed and attempts fail', async () => {
    const workers = [await world.fleet.start('jobs'), await world.fleet.start('jobs')];
    const keys = Array.from({ length: 8 }, (_, i) => `key ${i}`);
    for (let round = 0; round < 6; round++)
      for (const orderKey of keys) await world.enqueue('flaky', { failures: round % 2 }, 1, { orderKey });
    for (let round = 0; round < 10; round++)
      for (const orderKey of keys)
        await world.enqueue('work', { ms: 20 }, 1, { orderKey: `${orderKey} too` });
    await world.database.db.executeSql(`notify waybill_outbox, 'jobs:0'`);
    await until(async () => ((await world.counts()).delivered ?? 0) > 80);
    workers[0]!.kill('SIGKILL');
    await world.fleet.start('jobs');
    await world.quiet();
    const sql = `select distinct order_key as key from waybill.outbox_messages where name = 'work' and order_key like '% too'`;
    expect((await world.database.db.executeSql(sql)).rows).toHaveLength(keys.length);
    for (const [key, { worked, committed }] of await sequences('work')) {
      if (!key.endsWith(' too')) continue;
      expect(committed).toHaveLength(10);
      expect(worked).toEqual(committed);
    }
    expect(await world.counts()).toEqual({ delivered: 50 + 48 + 80 });
  });
});
