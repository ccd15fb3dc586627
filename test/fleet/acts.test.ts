// What people do to running work. Real: worker processes and Postgres. Doubled: nothing.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { end } from '../../src/acts/messages.ts';
import type { Actor } from '../../src/operate/audit.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { until } from '../support/wait.ts';

const actor: Actor = { by: 'ann', key: null, via: 'cli', requestId: null, reason: 'it hangs' };

let world: World;
beforeAll(async () => {
  // Leases and polls that are long: only a NOTIFY can be quick.
  world = await fleetWorld({ WAYBILL_LEASE: '60s', WAYBILL_CONCURRENCY: '1' });
  await world.fleet.start('jobs');
});
afterAll(() => world.end());

describe('ending an attempt', () => {
  it.each(['dead', 'cancel', 'retry'] as const)(
    'C: %s: the handler that hangs loses its slot at once, and what it writes later is refused',
    async (then) => {
      const { database, count, enqueue } = world;
      const [id] = await enqueue('stubborn', { ms: 3_000 });
      await until(async () => (await world.marks('begin')).get(id!) === 1, { what: 'the handler' });
      await end(database.db, actor, id!, then);
      // Retried, it begins again in the only slot; otherwise another message does.
      const [next] = then === 'retry' ? [id] : await enqueue('work', { ms: 0 });
      const begun = 'select count(*)::int as n from marks where message_id = $1';
      const wanted = then === 'retry' ? 2 : 1;
      await until(async () => (await count(begun, [next])) === wanted, {
        timeoutMs: 2_500,
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
