import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPostgresOutbox } from '../../src/index.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { hasPgbouncer, startPgbouncer, type Pgbouncer } from '../support/pgbouncer.ts';
import { until } from '../support/wait.ts';

if (!hasPgbouncer) console.warn('pgbouncer is not installed: the tests behind it are SKIPPED');

describe.runIf(hasPgbouncer)('behind a pgbouncer in transaction mode', () => {
  let world: World;
  let bouncer: Pgbouncer;
  beforeAll(async () => {
    world = await fleetWorld();
    bouncer = await startPgbouncer(world.database.url);
  });
  afterAll(async () => {
    await world.fleet.end();
    await bouncer.end();
    await world.end();
  });

  it('B, D: everything is delivered, once, also when a worker is stopped in between', async () => {
    const env = { DATABASE_URL: bouncer.url };
    await world.fleet.start('relay', env);
    const first = await world.fleet.start('jobs', env);
    await world.enqueue('work', { ms: 20 }, 300);
    await world.enqueue('flaky', { failures: 1 }, 10);
    await until(async () => (await world.marks('work')).size > 30, { what: 'work under way' });
    expect(await first.stop()).toBe(0);
    await world.fleet.start('jobs', env);
    await world.quiet();
    expect(await world.counts()).toEqual({ delivered: 310 });
    expect([...(await world.marks('work')).values()].every((n) => n === 1)).toBe(true);
  });

  it('A: an application records through it, whichever session its transactions get', async () => {
    const pool = new pg.Pool({ connectionString: bouncer.url, max: 20 });
    async function one(serial: number): Promise<void> {
      const client = await pool.connect();
      await client.query('begin');
      await createPostgresOutbox(client).enqueue({
        kind: 'job',
        name: 'work',
        queue: 'rest',
        payload: { serial },
      });
      await client.query('commit');
      client.release();
    }
    // 20 clients share 10 sessions, and each records often enough to find its plan worth keeping.
    for (let round = 0; round < 10; round++)
      await Promise.all(Array.from({ length: 20 }, (_, i) => one(round * 20 + i)));
    await pool.end();
    const sql = `select count(*)::int as n from waybill.outbox_messages where queue = 'rest'`;
    expect((await world.database.db.executeSql(sql)).rows).toEqual([{ n: 200 }]);
  });
});
