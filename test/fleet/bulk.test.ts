// Bulk acts in a real fleet: the relay works them off, and dies in the middle; a person watches on the command line.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { move, start } from '../../src/acts/bulk.ts';
import type { Actor } from '../../src/operate/audit.ts';
import { showBulk } from '../../src/operate/bulk.ts';
import { waybill } from '../support/command.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { until } from '../support/wait.ts';

let world: World;
beforeEach(async () => {
  world = await fleetWorld({ WAYBILL_LEASE: '60s' }); // a machine that stalls for seconds must not cost a worker its claims
});
afterEach(() => world.end());

const actor: Actor = { by: 'ann', key: null, via: 'cli', requestId: null, reason: null };
const run = (...args: string[]) => waybill(args, { DATABASE_URL: world.database.url });
const later = { availableAt: new Date(Date.now() + 86_400_000) };

const begin = (rate?: string) =>
  start(world.database.db, actor, { action: 'cancel', filter: { name: 'work' }, expect: 'any', rate });
const show = (id: string) => showBulk(world.database.db, id);

/** How many messages were ended more than once: each lost claim and each change by an act is an end. */
const twice = (): Promise<number> =>
  world.count('select count(*)::int as n from waybill.outbox_messages where ends > 1');

describe('bulk acts in a fleet', () => {
  it('kill -9 of the relay between and in batches: the next one goes on, and each message is changed once', async () => {
    const { fleet } = world;
    await world.enqueue('work', { ms: 1 }, 3_000, later);
    let relay = await fleet.start('relay');
    const { id } = await begin('2000/s');
    for (const changed of [300, 1_200]) {
      await until(async () => (await show(id)).changed > changed, { what: `${changed} changed` });
      relay.kill('SIGKILL');
      await relay.ended;
      const left = await show(id);
      expect(await world.counts()).toEqual({ cancelled: left.changed, pending: 3_000 - left.changed });
      relay = await fleet.start('relay');
    }
    await until(async () => (await show(id)).state === 'done', { what: 'its end' });
    expect(await show(id)).toMatchObject({ changed: 3_000, skipped: {}, locked: 0 });
    expect(await twice()).toBe(0);
  });

  it('two relays share two acts on overlapping messages; workers deliver beside them', async () => {
    const { fleet } = world;
    await world.enqueue('work', { ms: 1 }, 1_500, later);
    await world.enqueue('work', { ms: 1 }, 200);
    await Promise.all([fleet.start('relay'), fleet.start('relay'), fleet.start('jobs')]);
    const acts = [await begin(), await begin()];
    for (const { id } of acts)
      await until(async () => (await show(id)).state === 'done', { what: 'its end' });
    await world.quiet();
    const counts = await world.counts();
    const changed = await Promise.all(acts.map(async ({ id }) => (await show(id)).changed));
    expect(changed[0]! + changed[1]!).toBe(counts.cancelled);
    expect((counts.cancelled ?? 0) + (counts.delivered ?? 0)).toBe(1_700);
    expect(await twice()).toBe(0);
  });

  it('a relay that is there begins at once, and one act fills the time of a rate-limited other', async () => {
    await world.enqueue('work', { ms: 1 }, 50, later);
    await world.fleet.start('relay');
    const slow = await begin('1/s');
    const { id } = await begin();
    await until(async () => (await show(id)).state === 'done', { what: 'its end', timeoutMs: 10_000 });
    await move(world.database.db, actor, slow.id, 'stop');
    expect((await world.counts()).cancelled).toBe(50);
  });
});

describe('waybill bulk', () => {
  it('shows the preview, wants the count, waits with progress on stderr, and lists what was done', async () => {
    await world.enqueue('work', { ms: 1 }, 150, later);
    const preview = await run('bulk', 'start', 'cancel', '--name', 'work', '--dry-run');
    expect(preview.code).toBe(0);
    expect(preview.stdout).toMatch(/^150 messages would be cancelled\n.*work 150/);
    expect(preview.stdout).toMatch(/warning: +the queue jobs is open.*\n.*no relay is alive/);
    const refused = await run('bulk', 'start', 'cancel', '--name', 'work');
    expect([refused.code, refused.stdout]).toEqual([1, '']);
    expect(refused.stderr).toMatch(/150 messages match.*count_required/);
    const alone = await run('bulk', 'start', 'cancel', '--name', 'work', '--expect', '150', '--wait');
    expect(alone.code).toBe(1);
    expect(alone.stderr).toMatch(/running: 0 of 150 cancelled, 0 skipped – no relay is alive/);
    await world.fleet.start('relay');
    const [, id = ''] = /^id: +(\S+)/.exec(alone.stdout) ?? [];
    const waited = await run('bulk', 'show', id, '--wait', '--json');
    expect(waited.code).toBe(0);
    expect(JSON.parse(waited.stdout)).toMatchObject({ id, state: 'done', changed: 150, via: 'cli' });
    expect(waited.stderr).toMatch(/done: 150 of 150 cancelled/);
    const again = await run('bulk', 'stop', id);
    expect([again.code, again.stderr]).toEqual([1, expect.stringMatching(/is done since.*state_conflict/)]);
    expect((await run('bulk', 'list')).stdout).toMatch(/cancel +done +150 +150/);
  });

  it('outbox cancel with a filter is a bulk act that is waited for', async () => {
    await world.fleet.start('relay');
    await world.enqueue('work', { ms: 1 }, 120, later);
    const unsure = await run('outbox', 'cancel', '--name', 'work');
    expect([unsure.code, unsure.stderr]).toEqual([2, expect.stringMatching(/confirmation_required/)]);
    const { code, stdout } = await run('outbox', 'cancel', '--name', 'work', '--yes', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ action: 'cancel', state: 'done', changed: 120 });
    expect(await world.counts()).toEqual({ cancelled: 120 });
  });
});
