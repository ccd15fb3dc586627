import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../src/dev/free-port.ts';
import { waybill } from '../support/command.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { until } from '../support/wait.ts';

let world: World;
beforeAll(async () => {
  world = await fleetWorld();
});
afterAll(() => world.end());

async function drain(...args: readonly string[]) {
  const { code, stdout } = await waybill(['outbox', 'drain', '--json', ...args], {
    DATABASE_URL: world.database.url,
    WAYBILL_APP: 'test/support/fleet-app.ts',
    LOG_LEVEL: 'silent',
  });
  return { code, report: JSON.parse(stdout) as Record<string, number> };
}

describe('waybill outbox drain', () => {
  it('delivers without relay and workers: one batch, or all there is', async () => {
    await world.enqueue('work', { ms: 0 }, 30);
    expect(await drain('--batch-size', '10')).toMatchObject({
      code: 0,
      report: { claimed: 10, delivered: 10 },
    });
    expect(await drain('--batch-size', '10', '--until-empty')).toMatchObject({
      code: 0,
      report: { delivered: 20 },
    });
    expect(await drain()).toMatchObject({ code: 0, report: { claimed: 0 } });
    expect((await world.marks('work')).size).toBe(30);
  });

  it('C: beside a relay and workers each message is delivered once, and both take part', async () => {
    await Promise.all([world.fleet.start('relay'), world.fleet.start('jobs', { WAYBILL_CONCURRENCY: '5' })]);
    const ids = new Set(await world.enqueue('work', { ms: 20 }, 600));
    const { code } = await drain('--until-empty');
    await world.quiet();
    const marks = [...(await world.marks('work'))].filter(([id]) => ids.has(id));
    expect(code).toBe(0);
    expect([marks.length, Math.max(...marks.map(([, times]) => times))]).toEqual([600, 1]);
    const pids = `select count(distinct pid)::int as n from marks where message_id = any($1)`;
    expect(await world.count(pids, [[...ids]])).toBe(2);
  });
});

describe('the drain route of web', () => {
  it('drains in the web process, for who has the secret', async () => {
    const port = await freePort();
    const secret = 'the-secret-of-the-scheduler';
    await world.fleet.start('web', { PORT: String(port), WAYBILL_CRON_SECRET: secret });
    const base = `http://127.0.0.1:${port}`;
    await until(async () => (await fetch(`${base}/livez`)).ok, { what: 'a port that answers' });
    const url = `${base}/cron/outbox/drain?batchSize=50`;
    expect((await fetch(url)).status).toBe(401);
    const [id] = await world.enqueue('work', { ms: 0 }, 1, { queue: 'events' });
    const headers = { authorization: `Bearer ${secret}` };
    const answer = await fetch(url, { method: 'POST', headers });
    expect(await answer.json()).toMatchObject({ retried: 0, dead: 0 });
    await until(async () => (await world.marks('work')).has(id!), {
      what: 'its delivery, by one of the two',
    });
  });
});
