import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineApp, defineJob } from '../../src/index.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { pauseQueue, registerQueues } from '../../src/queues/queues.ts';
import { beat, leave } from '../../src/process/heartbeat.ts';
import { decide, readAdvice } from '../../src/scale/decisions.ts';
import { measureSql } from '../../src/scale/measure.ts';
import { counts } from '../support/counts.ts';
import { waybill } from '../support/command.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { adminKey, testWeb } from '../support/web.ts';

const draw = defineJob({
  name: 'draw',
  queue: 'images',
  payload: z.object({}),
  handler: async () => undefined,
});
const app = defineApp({ jobs: [draw] });
const size = { slots: 10, connections: 19 };

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
  await registerQueues(database.db, ['images', 'reports']);
});
afterAll(() => database.end());

async function sql<Row>(text: string, values: unknown[] = []): Promise<Row[]> {
  return (await database.db.executeSql<Row>(text, values)).rows;
}

/** As if the last decision had been made that long ago. */
async function pass(seconds: number): Promise<void> {
  await sql(`update waybill.autoscale_turn set at = at - $1 * interval '1 second'`, [seconds]);
  await sql(
    `update waybill.autoscale set decided_at = decided_at - $1 * interval '1 second',
       state = jsonb_set(state, '{load,at}', to_jsonb((state #>> '{load,at}')::float8 - $1::float8))`,
    [seconds],
  );
}

async function recommended(...queues: string[]): Promise<number | undefined> {
  const rows = await sql<{ n: number }>('select waybill.workers_recommended(variadic $1::text[]) as n', [
    queues,
  ]);
  return rows[0]?.n;
}

describe('decisions', () => {
  it('count for webhooks only the slots that they have, and no other queue beside them', async () => {
    const { db } = database;
    const jobs = counts({ slots: 10, busy: 0, queues: ['jobs', 'events'] });
    const webhooks = counts({ slots: 200, busy: 0, queues: ['webhooks'] });
    await beat(
      db,
      { id: 'w0', role: 'jobs', host: 'h', pid: 1, version: '1' },
      { ...jobs, workers: [...jobs.workers, ...webhooks.workers] },
    );
    const looks = await sql<{ queue: string; slotsPerWorker: number; sharedWith: string[] }>(
      measureSql,
      [25],
    );
    const of = (name: string) => looks.find(({ queue }) => queue === name);
    expect(of('webhooks')).toMatchObject({ workers: 1, slotsPerWorker: 200, sharedWith: [] });
    expect(of('jobs')).toMatchObject({ workers: 1, slotsPerWorker: 10, sharedWith: ['events'] });
    await leave(db, 'w0');
  });

  it('are made by one process of the fleet at a time, and not again at once', async () => {
    const turns = await Promise.all(Array.from({ length: 6 }, () => decide(database.db, size)));
    expect(turns.filter(Boolean)).toHaveLength(1);
    expect(await decide(database.db, size)).toBe(false);
    await pass(10);
    expect(await decide(database.db, size)).toBe(true);
  });

  it('follow a backlog whose messages take long; SQL, the metric, the admin API and the command tell the same', async () => {
    const { db } = database;
    const row = { id: 'w1', role: 'jobs', host: 'h', pid: 1, version: '1' };
    await beat(db, row, counts({ slots: 10, busy: 10, queues: ['images', 'jobs'] }));
    const outbox = createPostgresOutbox(db);
    const message = { kind: 'job', name: 'draw', queue: 'images', payload: {} } as const;
    await outbox.enqueue(Array.from({ length: 400 }, () => message));
    await outbox.claimBatch({ limit: 10, leaseMs: 60_000, workerId: 'w1', queues: ['images'] });
    await sql(
      `update waybill.outbox_messages set claimed_at = now() - interval '6 seconds' where status = 'sending'`,
    );
    await pass(10);
    expect(await decide(db, size)).toBe(true);
    const [images] = (await readAdvice(db)).filter(({ queue }) => queue === 'images');
    // 390 for 6 s each, within 60 s: 39 slots; and a sixth of 400 in ten seconds comes on top, as far as it is told by then.
    expect(images!.recommended).toBeGreaterThanOrEqual(4);
    expect(images).toMatchObject({
      workers: 1,
      backlog: 390,
      sending: 10,
      slotsPerWorker: 10,
      closed: false,
    });
    expect(images!.reasons.join('\n')).toContain('a backlog of 390 is to be gone in 60 s');
    expect(await recommended('images')).toBe(images!.recommended);
    expect(await recommended('no such queue')).toBe(0);

    const web = testWeb(app, database.url);
    const text = (await web.server.inject('/metrics')).body;
    const answer = await web.server.inject({
      url: '/admin/autoscale',
      headers: { authorization: `Bearer ${adminKey}` },
    });
    expect((await web.server.inject('/admin/autoscale')).statusCode).toBe(401);
    await web.end();
    expect(text).toContain(`waybill_workers_recommended{queue="images"} ${images!.recommended}\n`);
    expect(text).toContain('waybill_workers_recommended{queue="reports"} 1\n');
    expect(text).toContain('waybill_workers{queue="images"} 1\n');
    type Told = { queues: { queue: string; recommended: number; reasons: string[] }[] };
    const told = answer.json<Told>().queues.find(({ queue }) => queue === 'images');
    expect(told).toMatchObject({ recommended: images!.recommended, reasons: images!.reasons });

    const env = { DATABASE_URL: database.url };
    const shown = await waybill(['fleet', 'advise'], env);
    expect(shown.code).toBe(0);
    expect(shown.stdout).toMatch(new RegExp(`^images +1 +${images!.recommended} +390 `, 'm'));
    expect(shown.stdout).toContain(images!.reasons[0]);
    const json = await waybill(['fleet', 'advise', '--json'], env);
    expect((JSON.parse(json.stdout) as Told).queues.map(({ queue }) => queue)).toContain('images');
    expect(JSON.parse((await waybill(['fleet', '--json'], env)).stdout)).toMatchObject({
      processes: [{ id: 'w1' }],
    });
  });

  it('of queues that share their workers add up before they are rounded', async () => {
    await sql(
      `update waybill.autoscale set recommended = 1, exact = 0.3 where queue in ('events', 'jobs', 'reports')`,
    );
    expect(await recommended('events', 'jobs', 'reports')).toBe(1);
    await sql(`update waybill.autoscale set recommended = 3, exact = 2.6 where queue = 'jobs'`);
    expect(await recommended('events', 'jobs', 'reports')).toBe(4);
    expect(await recommended('jobs')).toBe(3);
  });

  it('keep the number of a paused queue, and count messages that are due later for nothing', async () => {
    const { db } = database;
    const before = await recommended('images');
    await pauseQueue(db, 'images', { by: 'ann', reason: null });
    const later = { kind: 'job', name: 'draw', queue: 'reports', payload: {} } as const;
    const availableAt = new Date(Date.now() + 86_400_000);
    await createPostgresOutbox(db).enqueue(Array.from({ length: 500 }, () => ({ ...later, availableAt })));
    await pass(10);
    await decide(db, size);
    const [images, reports] = ['images', 'reports'].map((name) =>
      readAdvice(db).then((all) => all.find(({ queue }) => queue === name)),
    );
    expect(await images).toMatchObject({ recommended: before, closed: true });
    expect(await reports).toMatchObject({ backlog: 0 });
  });

  it('never ask for more than Postgres has connections for', async () => {
    const { db } = database;
    await sql(`update waybill.queues set paused_at = null`);
    const message = { kind: 'job', name: 'draw', queue: 'images', payload: {} } as const;
    await createPostgresOutbox(db).enqueue(Array.from({ length: 20_000 }, () => message));
    await pass(10);
    await decide(db, size);
    const images = (await readAdvice(db)).find(({ queue }) => queue === 'images')!;
    expect(images.wanted).toBeGreaterThan(100);
    expect(images.recommended).toBeLessThanOrEqual(1 + 300 / 19); // the server of the tests has 300
    expect(images.recommended).toBeGreaterThanOrEqual(1);
    expect(images.reasons.at(-1)).toContain('Postgres has connections for');
  });
});
