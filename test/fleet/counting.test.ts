// What web shows of attempts is what the rows say, also after workers were killed, and whoever delivered: workers or a drain.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { waybill } from '../support/command.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import type { Running } from '../support/fleet.ts';
import { until } from '../support/wait.ts';

let world: World;
beforeAll(async () => {
  world = await fleetWorld({ PORT: '0' });
});
afterAll(() => world.end());

async function deliveries(web: Running): Promise<Record<string, number>> {
  const { address } = web.lines.find(({ msg }) => msg === 'web: listening')!;
  const text = await (await fetch(`http://127.0.0.1:${String(address).split(':').at(-1)}/metrics`)).text();
  const all = [...text.matchAll(/^waybill_deliveries_total\{.*outcome="(\w+)".*\} (\d+)$/gm)];
  const sums: Record<string, number> = {};
  for (const [, outcome, n] of all) sums[outcome!] = (sums[outcome!] ?? 0) + Number(n);
  return sums;
}

const rows = async (outcome: string): Promise<number> =>
  outcome === 'delivered'
    ? world.count(`select count(*)::int as n from waybill.outbox_messages where status = 'delivered'`)
    : world.count('select count(*)::int as n from waybill.outbox_attempts where outcome = $1', [outcome]);

it('F4: after kill -9 in 3,000 jobs, deliveries are what the rows say', { timeout: 180_000 }, async () => {
  const web = await world.fleet.start('web');
  await world.fleet.start('relay');
  const first = await world.fleet.start('jobs');
  await world.enqueue('work', { ms: 1 }, 1_500);
  await world.enqueue('flaky', { failures: 1 }, 40);
  await world.enqueue('flaky', { failures: 99 }, 10);
  await world.enqueue('work', { ms: 1 }, 1_450);
  const half = `select count(*) > 1000 as n from waybill.outbox_messages where status = 'delivered'`;
  await until(async () => world.count(half), { what: 'the middle', timeoutMs: 60_000 });
  first.kill('SIGKILL');
  await first.ended;
  await world.fleet.start('jobs');
  await world.quiet(120_000);
  const seen = await until(
    async () => {
      const sums = await deliveries(web);
      return sums['delivered'] === (await rows('delivered')) && sums;
    },
    { what: 'the figures of the scrape' },
  );
  expect(seen['delivered']).toBe(2_990);
  expect(seen['retried']).toBe(await rows('retried'));
  expect(seen['dead']).toBe(await rows('dead'));
  expect(seen['dead']).toBe(10);
});

it('F5: what `outbox drain` delivers counts like what a worker delivers', { timeout: 120_000 }, async () => {
  const database = await fleetWorld({ PORT: '0' });
  try {
    await database.enqueue('work', { ms: 0 }, 7);
    await database.enqueue('flaky', { failures: 1 }, 2);
    const env = { DATABASE_URL: database.database.url, WAYBILL_APP: 'test/support/fleet-app.ts' };
    expect((await waybill(['outbox', 'drain', '--json'], env)).code).toBe(0);
    expect(await database.counter('waybill_deliveries_total')).toBe(9);
    const seconds = `select value::int as n from waybill.counters where name = 'waybill_delivery_seconds_count' and labels ->> 'outcome' = 'delivered'`;
    expect(await database.count(seconds)).toBe(7);
  } finally {
    await database.end();
  }
});
