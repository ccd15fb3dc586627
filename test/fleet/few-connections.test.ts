// Seven real processes on a Postgres with max_connections = 25, fifteen requests at a time; and processes whose wire to Postgres falls silent.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startPostgres, type EmbeddedPostgres } from '../../src/dev/postgres.ts';
import { migrate, standardSources } from '../../src/db/migrate.ts';
import { openDatabase, type Database } from '../../src/db/pool.ts';
import { blackHole, type BlackHole } from '../support/black-hole.ts';
import { testFleet, type Running, type TestFleet } from '../support/fleet.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { until } from '../support/wait.ts';

const portOf = (process: Running): string => {
  const address = process.lines.find(({ msg }) => msg === 'web: listening')?.['address'];
  return String(address).split(':').at(-1)!;
};

describe('K3: too many connections', { timeout: 240_000 }, () => {
  let server: EmbeddedPostgres;
  let db: Database;
  let fleet: TestFleet;
  beforeAll(async () => {
    server = await startPostgres({ persistent: false, settings: { max_connections: '25' } });
    db = openDatabase({ url: server.url(), max: 1, applicationName: 'test', onIdleError: () => undefined });
    await migrate(db, standardSources('test/support/few-app.ts'));
    await db.executeSql('create table placed (n int); create table effects (n int)');
    fleet = testFleet({
      DATABASE_URL: server.url(),
      WAYBILL_APP: 'test/support/few-app.ts',
      WAYBILL_EMAIL_PROVIDER: 'inbox',
      PORT: '0',
    });
  }, 120_000);
  afterAll(async () => {
    await fleet.end();
    await db.end();
    await server.end();
  });

  const count = async (sql: string): Promise<number> =>
    (await db.executeSql<{ n: number }>(`select count(*)::int as n from ${sql}`)).rows[0]!.n;

  it('of seven processes, answers nearly all of fifteen requests at a time, uses up no attempt and kills nothing', async () => {
    const roles = ['web', 'web', 'relay', 'email', 'jobs', 'jobs', 'scheduler'] as const;
    const started: Running[] = [];
    for (const role of roles) started.push(await fleet.start(role));
    const webs = started.filter(({ role }) => role === 'web').map(portOf);
    const answers: { status: number; code?: string; again: string | null }[] = [];
    let next = 0;
    const caller = async (): Promise<void> => {
      for (let n = next++; n < 300; n = next++) {
        const answer = await fetch(`http://127.0.0.1:${webs[n % 2]}/actions/place`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ n }),
        });
        const body = (await answer.json()) as { code?: string };
        answers.push({ status: answer.status, ...body, again: answer.headers.get('retry-after') });
      }
    };
    await Promise.all(Array.from({ length: 15 }, caller));
    const good = answers.filter(({ status }) => status === 200).length;
    for (const { status, code, again } of answers.filter((one) => one.status !== 200))
      expect([status, code, again]).toEqual([503, 'too_many_connections', '1']);
    expect(good).toBeGreaterThan(270);
    const open = `waybill.outbox_messages where status in ('pending', 'sending', 'failed')`;
    await until(async () => (await count(open)) === 0, { what: 'a quiet outbox', timeoutMs: 120_000 });
    expect(await count('placed')).toBe(good);
    expect(await count('effects')).toBe(good);
    expect(await count(`waybill.outbox_messages where status = 'delivered'`)).toBe(2 * good);
    const again = 'select kind, attempts, last_error from waybill.outbox_messages where attempts > 1';
    expect((await db.executeSql(again)).rows).toEqual([]);
    const codes = await Promise.all(started.map((process) => process.stop()));
    expect(codes).toEqual(roles.map(() => 0));
  });
});

describe('G7: a wire that falls silent', { timeout: 240_000 }, () => {
  let world: World;
  let hole: BlackHole;
  beforeAll(async () => {
    world = await fleetWorld();
    hole = await blackHole(world.database.url);
  });
  afterAll(async () => {
    await world.fleet.end();
    await hole.end();
    await world.end();
  });

  it('/readyz answers long before any timeout of a statement, and the fleet works on over new connections', async () => {
    const env = { DATABASE_URL: hole.url, METRICS_PORT: '0' };
    const started = [await world.fleet.start('relay', env), await world.fleet.start('jobs', env)];
    const port = (process: Running): string =>
      String(process.lines.find((line) => 'healthPort' in line)?.['healthPort']);
    const ready = async (process: Running): Promise<number> =>
      (await fetch(`http://127.0.0.1:${port(process)}/readyz`)).status;
    for (const process of started)
      await until(async () => (await ready(process)) === 200, { what: 'readiness' });
    await world.enqueue('work', { ms: 5 }, 50);
    await world.quiet();
    hole.shut();
    const waits: number[] = [];
    for (const process of started)
      await until(
        async () => {
          const began = performance.now();
          const status = await ready(process);
          waits.push(performance.now() - began);
          return status === 503;
        },
        { what: 'red' },
      );
    expect(Math.max(...waits)).toBeLessThan(8_000); // a statement's timeout is 12 s
    hole.open();
    const ids = await world.enqueue('work', { ms: 5 }, 50);
    await world.quiet(60_000);
    const marks = await world.marks('work');
    expect(ids.every((id) => marks.has(id))).toBe(true);
    for (const process of started)
      await until(async () => (await ready(process)) === 200, { what: 'readiness again', timeoutMs: 30_000 });
  });
});
