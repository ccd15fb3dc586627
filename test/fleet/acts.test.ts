// What people do to running work. Real: worker processes and Postgres. Doubled: nothing.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { goOn, quiet } from '../../src/acts/fleet.ts';
import { end, run } from '../../src/acts/messages.ts';
import { limit, pause, resume } from '../../src/acts/queues.ts';
import { readLimits } from '../../src/operate/limits.ts';
import type { Actor } from '../../src/operate/audit.ts';
import { fleet } from '../../src/process/heartbeat.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { until } from '../support/wait.ts';

const actor: Actor = { by: 'ann', key: null, via: 'cli', requestId: null, reason: 'it hangs' };

let world: World;
beforeAll(async () => {
  // Leases and polls that are long: only a NOTIFY can be quick.
  world = await fleetWorld({ WAYBILL_LEASE: '60s', WAYBILL_CONCURRENCY: '1' });
  await world.fleet.start('jobs');
  const listening = `select count(*)::int as n from pg_stat_activity where datname = current_database() and query = 'listen waybill_worker'`;
  await until(async () => (await world.count(listening)) > 0, { what: 'the worker to listen' });
});
afterAll(() => world.end());

describe('ending an attempt', () => {
  it.each(['dead', 'cancel', 'retry'] as const)(
    'C: %s: the handler that hangs loses its slot at once, and what it writes later is refused',
    async (then) => {
      const { database, count, enqueue } = world;
      const [id] = await enqueue('stubborn', { ms: then === 'retry' ? 3_000 : 6_000 });
      await until(async () => (await world.marks('begin')).get(id!) === 1, { what: 'the handler' });
      await end(database.db, actor, id!, then);
      // Retried, it begins again in the only slot; otherwise another message does.
      const [next] = then === 'retry' ? [id] : await enqueue('work', { ms: 0 });
      const begun = 'select count(*)::int as n from marks where message_id = $1';
      const wanted = then === 'retry' ? 2 : 1;
      await until(async () => (await count(begun, [next])) === wanted, {
        timeoutMs: 5_000,
        what: 'the slot',
      });
      await world.quiet();
      const { rows } = await database.db.executeSql<{ status: string; outcome: string }>(
        `select m.status, a.outcome from waybill.outbox_messages m join waybill.outbox_attempts a on a.message_id = m.id where m.id = $1`,
        [id],
      );
      const status = { dead: 'dead', cancel: 'cancelled', retry: 'delivered' }[then];
      expect(rows).toEqual([{ status, outcome: 'ended' }]);
      expect(await count('select count(*)::int as n from effects where message_id = $1', [id])).toBe(
        then === 'retry' ? 1 : 0,
      );
    },
  );
});

describe('quieting a process', () => {
  it('it finishes what it has and claims nothing more, until it is resumed; the list shows it', async () => {
    const { database, count, enqueue } = world;
    const { db } = database;
    const { id } = (await fleet(db))[0]!;
    const marks = 'select count(*)::int as n from marks where message_id = $1';
    const [running] = await enqueue('work', { ms: 500 });
    await until(async () => (await world.counts()).sending === 1, { what: 'a running message' });
    const seen = await quiet(db, actor, id, {});
    expect(seen.quiet).toMatchObject({ by: 'ann', reason: 'it hangs', until: null });
    await until(async () => (await count(marks, [running])) === 1, { what: 'the end of what ran' });
    const [waiting] = await enqueue('work', { ms: 0 });
    // Two heartbeats, which must not end it.
    const beats = async () =>
      count(`select extract(epoch from heartbeat_at)::int as n from waybill.processes where id = $1`, [id]);
    const since = await beats();
    await until(async () => (await beats()) >= since + 4, { what: 'two heartbeats' });
    expect(await count(marks, [waiting])).toBe(0);
    expect((await goOn(db, actor, id)).quiet).toBeNull();
    await until(async () => (await count(marks, [waiting])) === 1, { what: 'the message that waited' });
  });

  it('ends by itself', async () => {
    const { database, count, enqueue } = world;
    const { id } = (await fleet(database.db))[0]!;
    await quiet(database.db, actor, id, { forMs: 1_000 });
    const [waiting] = await enqueue('work', { ms: 0 });
    await until(
      async () =>
        (await count('select count(*)::int as n from marks where message_id = $1', [waiting])) === 1,
      { what: 'the end of the quiet' },
    );
  });

  it('is refused for an unknown process', async () => {
    await expect(quiet(world.database.db, actor, 'nobody:1:abc', {})).rejects.toMatchObject({
      code: 'unknown_process',
    });
  });
});

describe('running a message of a paused queue', () => {
  it('a worker takes this one at once, with a rate, too, and leaves the others', async () => {
    const { database, count, enqueue } = world;
    const { db } = database;
    const marks = 'select count(*)::int as n from marks where message_id = $1';
    for (const rate of [undefined, '100/s']) {
      if (rate) await limit(db, actor, 'jobs', readLimits({ rate }));
      await pause(db, actor, 'jobs', {});
      const [other, id] = await enqueue('work', { ms: 0 }, 2);
      await run(db, actor, id!);
      await until(async () => (await count(marks, [id])) === 1, { what: 'the one message' });
      expect(await count(marks, [other])).toBe(0);
      await resume(db, actor, 'jobs');
      await world.quiet();
    }
  });
});
