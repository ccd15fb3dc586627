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

const fine = (name: string) => ({ name, ok: true });

/** Counted right after the commit that a test can see: the figure may come a moment later. */
async function shows(process: Running, figure: string): Promise<void> {
  await until(async () => (await (await ask(process, '/metrics')).text()).includes(figure), { what: figure });
}

it('each process tells its health and its figures, says that it drains, and leaves its counts behind', async () => {
  const relay = await world.fleet.start('relay');
  await world.enqueue('work', { ms: 0 }, 5);
  await shows(relay, 'waybill_relay_moved_total{queue="jobs"} 5'); // nobody else finds them before
  const jobs = await world.fleet.start('jobs');
  for (const process of [relay, jobs]) {
    expect((await ask(process, '/livez')).status).toBe(200);
    const ready = await until(
      async () => {
        const answer = await ask(process, '/readyz');
        return answer.status === 200 && (await answer.json());
      },
      { what: 'readiness' },
    );
    const loop = process === relay ? 'relay' : 'worker';
    const detail = expect.stringMatching(new RegExp(`${loop}.* [\\d.]+ s ago`)) as unknown;
    const [running, database, schema] = ['running', 'database', 'schema'].map(fine);
    expect(ready).toEqual({ ready: true, checks: [running, { ...fine('loops'), detail }, database, schema] });
    expect((await ask(process, '/elsewhere')).status).toBe(404);
  }
  await world.quiet();
  await shows(jobs, 'outcome="delivered"} 5');

  const [long] = await world.enqueue('stubborn', { ms: 5_000 }); // long enough to ask twice meanwhile, on a slow machine too
  await until(async () => (await world.marks('begin')).has(long!), { what: 'a long delivery' });
  const stopped = jobs.stop();
  const draining = await until(
    async () => {
      const answer = await ask(jobs, '/readyz');
      return answer.status === 503 && (await answer.json());
    },
    { what: 'the end of readiness' },
  );
  expect(draining).toMatchObject({
    ready: false,
    checks: [
      { name: 'running', ok: false, detail: 'shutting down' },
      fine('loops'),
      fine('database'),
      fine('schema'),
    ],
  });
  expect((await ask(jobs, '/livez')).status).toBe(200);
  expect(await stopped).toBe(0);
  expect(await relay.stop()).toBe(0);
  expect(await world.counts()).toEqual({ delivered: 6 });
  expect(await world.counter('waybill_deliveries_total')).toBe(6);
  expect(await world.counter('waybill_relay_moved_total')).toBeGreaterThanOrEqual(5);
  expect(await world.count('select count(*)::int as n from waybill.processes')).toBe(0);
});
