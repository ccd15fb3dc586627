import { afterAll, beforeAll, expect, it } from 'vitest';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import type { Running } from '../support/fleet.ts';
import { until } from '../support/wait.ts';

let world: World;
beforeAll(async () => {
  world = await fleetWorld({ METRICS_PORT: '0' });
});
afterAll(() => world.end());

function ask(process: Running, path: string): Promise<Response> {
  const started = process.lines.find((line) => typeof line['healthPort'] === 'number');
  return fetch(`http://127.0.0.1:${String(started?.['healthPort'])}${path}`);
}

it('each process tells its health and its figures, says that it drains, and leaves its counts behind', async () => {
  const relay = await world.fleet.start('relay');
  const jobs = await world.fleet.start('jobs');
  for (const process of [relay, jobs]) {
    expect((await ask(process, '/livez')).status).toBe(200);
    await until(async () => (await ask(process, '/readyz')).status === 200, { what: 'readiness' });
    expect((await ask(process, '/elsewhere')).status).toBe(404);
  }
  await world.enqueue('work', { ms: 0 }, 5);
  await world.quiet();
  const relayed = await (await ask(relay, '/metrics')).text();
  expect(relayed).toContain('waybill_relay_moved_total{queue="jobs"} 5');
  await until(async () => (await (await ask(jobs, '/metrics')).text()).includes('outcome="delivered"} 5'));

  const [long] = await world.enqueue('stubborn', { ms: 1_500 });
  await until(async () => (await world.marks('begin')).has(long!), { what: 'a long delivery' });
  const stopped = jobs.stop();
  await until(async () => (await ask(jobs, '/readyz')).status === 503, { what: 'the end of readiness' });
  expect((await ask(jobs, '/livez')).status).toBe(200);
  expect(await stopped).toBe(0);
  expect(await relay.stop()).toBe(0);
  expect(await world.counter('waybill_deliveries_total')).toBe(6);
  expect(await world.counter('waybill_relay_moved_total')).toBe(6);
  expect(await world.count('select count(*)::int as n from waybill.processes')).toBe(0);
});
