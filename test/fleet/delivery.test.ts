import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { until } from '../support/wait.ts';

// One fleet for all of them: two relays and a worker.
let world: World;
beforeAll(async () => {
  world = await fleetWorld();
  await Promise.all([world.fleet.start('relay'), world.fleet.start('relay'), world.fleet.start('jobs')]);
});
afterAll(() => world.end());

type Row = { status: string; attempts: number; last_error: string | null; parent_id: string | null };

async function row(id: string): Promise<Row> {
  const sql = 'select status, attempts, last_error, parent_id from waybill.outbox_messages where id = $1';
  return (await world.database.db.executeSql<Row>(sql, [id])).rows[0]!;
}

async function settled(id: string): Promise<Row> {
  return until(async () => {
    const now = await row(id);
    return ['delivered', 'dead'].includes(now.status) && now;
  });
}

describe('delivery', () => {
  it('A: a transaction that is rolled back leaves nothing', async () => {
    const { db } = world.database;
    const before = await world.count('select count(*)::int as n from waybill.outbox_messages');
    await expect(
      db.transaction(async (tx) => {
        const { createPostgresOutbox } = await import('../../src/store/postgres.ts');
        await createPostgresOutbox(tx).enqueue({
          kind: 'job',
          name: 'work',
          queue: 'jobs',
          payload: { ms: 0 },
        });
        throw new Error('the business said no');
      }),
    ).rejects.toThrow('the business said no');
    expect(await world.count('select count(*)::int as n from waybill.outbox_messages')).toBe(before);
  });

  it('a handler that fails is tried again after a backoff, and what it wrote is undone', async () => {
    const [id] = await world.enqueue('flaky', { failures: 2 });
    expect(await settled(id!)).toMatchObject({
      status: 'delivered',
      attempts: 3,
      last_error: null,
    });
    expect(await world.count('select count(*)::int as n from effects where message_id = $1', [id])).toBe(1);
    const kept = 'select error, stack from waybill.outbox_attempts where message_id = $1 order by attempt';
    const place = String.raw`test/support/fleet-app\.ts:\d+:\d+`;
    expect((await world.database.db.executeSql(kept, [id])).rows).toEqual(
      [1, 2].map((attempt) => ({
        error: expect.stringMatching(
          new RegExp(`^no luck in attempt ${attempt} \\(at ${place}\\)$`),
        ) as string,
        stack: expect.stringMatching(
          new RegExp(`^Error: no luck in attempt ${attempt}\n +at .*${place}`),
        ) as string,
      })),
    );
  });

  it('the last failure is the end, with its reason', async () => {
    const [id] = await world.enqueue('flaky', { failures: 9 }, 1, { maxAttempts: 2 });
    expect(await settled(id!)).toMatchObject({
      status: 'dead',
      attempts: 2,
      last_error: expect.stringMatching(
        /^no luck in attempt 2 \(at test\/support\/fleet-app\.ts:\d+:\d+\)$/,
      ) as string,
    });
    expect(await world.count('select count(*)::int as n from effects where message_id = $1', [id])).toBe(0);
  });

  it("a job's concurrency holds in a process, and the job does not keep its neighbours from running", async () => {
    await world.enqueue('narrow', { ms: 100 }, 20, { queue: 'narrow' });
    const others = await world.enqueue('work', { ms: 0 }, 5);
    await world.quiet();
    const marks = `select what, extract(epoch from at)::float8 as at, message_id as id from marks where what like 'narrow%' or message_id = any($1) order by at`;
    const { rows } = await world.database.db.executeSql<{ what: string; id: string }>(marks, [others]);
    let [running, most] = [0, 0];
    for (const { what } of rows) {
      if (what === 'narrow begins') most = Math.max(most, ++running);
      if (what === 'narrow ends') running -= 1;
    }
    expect(most).toBe(2);
    expect(rows.filter(({ what }) => what === 'narrow ends')).toHaveLength(20);
    const lastNarrow = rows.findLastIndex(({ what }) => what === 'narrow ends');
    const lastOther = rows.findLastIndex(({ id }) => others.includes(id));
    expect(lastOther).toBeLessThan(lastNarrow);
  });

  it('an event becomes one message for each listener; one that fails is tried again alone', async () => {
    const [id] = await world.enqueue('happened', { n: 1 }, 1, { kind: 'event', queue: 'events' });
    await settled(id!);
    const children = `select id from waybill.outbox_messages where parent_id = $1 order by name`;
    const { rows } = await world.database.db.executeSql<{ id: string }>(children, [id]);
    expect(rows).toHaveLength(2);
    const [one, two] = [await settled(rows[0]!.id), await settled(rows[1]!.id)];
    expect(one).toMatchObject({ status: 'delivered', attempts: 1 });
    expect(two).toMatchObject({ status: 'delivered', attempts: 2, last_error: null });
  });

  it('a payload that does not fit its schema is dead at once, with the path', async () => {
    const [id] = await world.enqueue('work', { ms: 'soon' });
    const end = await settled(id!);
    expect(end).toMatchObject({ status: 'dead', attempts: 1 });
    expect(end.last_error).toContain('ms');
  });

  it('a name that no worker knows stays retryable, with a reason and without using attempts', async () => {
    const [id] = await world.enqueue('from-a-newer-deploy', {});
    const now = await until(async () => {
      const seen = await row(id!);
      return seen.last_error !== null && seen;
    });
    expect(now).toMatchObject({ status: 'pending', attempts: 0 });
    expect(now.last_error).toContain('from-a-newer-deploy');
    await world.database.db.executeSql(
      `update waybill.outbox_messages set status = 'cancelled', cancelled_at = now() where id = $1`,
      [id],
    );
  });

  it('wake-ups that are deleted delay nothing', async () => {
    const held = await world.enqueue('work', { ms: 1_500 }, 25); // every slot is taken
    await until(async () => (await world.counts()).sending === 25, { what: 'a full worker' });
    const [id] = await world.enqueue('work', { ms: 0 });
    const deleted = async (): Promise<number> =>
      (await world.database.db.executeSql(`delete from pgboss.job where name = 'jobs' returning id`)).rows
        .length;
    await until(async () => (await deleted()) > 0, { what: 'a wake-up' });
    expect(await settled(id!)).toMatchObject({ status: 'delivered', attempts: 1 });
    await Promise.all(held.map(settled));
  });

  it('more urgent messages overtake a backlog', async () => {
    const backlog = await world.enqueue('work', { ms: 20 }, 1_500);
    const [urgent] = await world.enqueue('work', { ms: 0 }, 1, { priority: 10 });
    await settled(urgent!);
    const done = await world.count(
      `select count(*)::int as n from waybill.outbox_messages where status = 'delivered' and id = any($1)`,
      [backlog],
    );
    expect(done).toBeLessThan(1_500);
    await Promise.all([settled(backlog.at(-1)!), world.quiet()]);
  });

  it('a worker that is at work does not keep from others what they could start', async () => {
    await world.fleet.start('jobs');
    const ids = await world.enqueue('work', { ms: 1_500 }, 50);
    await world.quiet();
    const sql = `select count(distinct pid)::int as n from marks where message_id = any($1)`;
    expect(await world.count(sql, [ids])).toBe(2);
  });
});
