import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../../src/db/pool.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { dropQueue, until } from '../support/wait.ts';

let world: World;
beforeEach(async () => {
  world = await fleetWorld();
});
afterEach(() => world.end());

const duplicates = (marks: ReadonlyMap<string, number>): number =>
  [...marks.values()].reduce((sum, n) => sum + n - 1, 0);

/** Until the release no message becomes `delivered`: the statement waits, as on a row that somebody else has locked. */
async function holdRecords(db: Database): Promise<{ release(): Promise<void> }> {
  await db.executeSql(`
    create function wait_for_release() returns trigger language plpgsql as $$
      begin perform pg_advisory_xact_lock_shared(4711); return new; end $$;
    create trigger wait_for_release before update on waybill.outbox_messages
      for each row when (new.status = 'delivered') execute function wait_for_release()`);
  const holder = await db.connect();
  await holder.query('select pg_advisory_lock(4711)');
  return { release: () => holder.end() };
}

/** Seconds that a statement has waited for the release by now. */
async function stuckFor(db: Database): Promise<number> {
  const sql = `select coalesce(max(extract(epoch from clock_timestamp() - query_start)), 0)::float8 as s
    from pg_stat_activity where datname = current_database() and wait_event = 'advisory'`;
  return (await db.executeSql<{ s: number }>(sql)).rows[0]!.s;
}

describe('a fleet whose members die', () => {
  it('B, D: kill -9 of a worker in mid-delivery: every message is delivered, duplicates at most those in flight', async () => {
    const { fleet } = world;
    await fleet.start('relay');
    const victim = await fleet.start('jobs');
    const ids = await world.enqueue('work', { ms: 60 }, 300);
    await until(async () => (await world.marks('work')).size > 40, { what: 'work under way' });
    victim.kill('SIGKILL');
    await victim.ended;
    await fleet.start('jobs');
    await world.quiet();
    const marks = await world.marks('work');
    expect([...marks.keys()].toSorted()).toEqual(ids.toSorted());
    expect(duplicates(marks)).toBeLessThanOrEqual(50); // twice the slots: those that ran, and those that were not recorded yet
    expect(await world.counts()).toEqual({ delivered: 300 });
  });

  it('D: kill -9 while nothing can be recorded: twice the slots are in flight then, and no more run twice', async () => {
    const { fleet, database } = world;
    const slots = 4;
    await fleet.start('relay');
    const victim = await fleet.start('jobs', { WAYBILL_CONCURRENCY: String(slots) });
    await world.enqueue('work', { ms: 30 }, 20);
    await world.quiet(); // the worker knows its pace
    const records = await holdRecords(database.db);
    const ids = await world.enqueue('work', { ms: 30 }, 100);
    const sql = 'select count(distinct message_id)::int as n from marks where message_id = any($1)';
    const begun = (): Promise<number> => world.count(sql, [ids]);
    await until(async () => (await begun()) >= 2 * slots, { what: 'twice the slots in flight' });
    await until(async () => (await stuckFor(database.db)) > 1, { what: 'a record that waits for long' });
    expect(await begun()).toBe(2 * slots);
    victim.kill('SIGKILL');
    await victim.ended;
    await records.release();
    await fleet.start('jobs');
    await world.quiet();
    const marks = await world.marks('work');
    expect(duplicates(marks)).toBeGreaterThan(0);
    expect(duplicates(marks)).toBeLessThanOrEqual(2 * slots);
    expect(await world.counts()).toEqual({ delivered: 120 });
  });

  it('C: a worker that was stopped past its lease cannot settle, and leaves nothing in the database', async () => {
    const { fleet } = world;
    await fleet.start('relay');
    const sleeper = await fleet.start('jobs');
    const [id] = await world.enqueue('stubborn', { ms: 500 });
    await until(async () => (await world.marks('begin')).has(id!), { what: 'the delivery to begin' });
    sleeper.kill('SIGSTOP');
    await fleet.start('jobs');
    await until(async () => (await world.counts()).delivered === 1, { what: 'the other worker to deliver' });
    sleeper.kill('SIGCONT');
    await until(async () => (await world.counter('waybill_claims_rejected_total')) >= 1, {
      what: 'the refusal to be counted',
    });
    expect(await world.count('select count(*)::int as n from effects')).toBe(1);
    const [row] = (await world.database.db.executeSql('select status, attempts from waybill.outbox_messages'))
      .rows;
    expect(row).toEqual({ status: 'delivered', attempts: 2 });
    await until(async () => (await world.counter('waybill_claims_expired_total')) === 1, {
      what: 'the lost lease to be counted',
    });
  });

  it('B: drop schema pgboss cascade under load, then restart of the processes: nothing is lost', async () => {
    const { fleet } = world;
    const first = [await fleet.start('relay'), await fleet.start('jobs')];
    const ids = await world.enqueue('work', { ms: 40 }, 400);
    await until(async () => (await world.marks('work')).size > 30, { what: 'work under way' });
    await dropQueue(world.database.db);
    await Promise.all(first.map((one) => one.stop()));
    await fleet.start('relay');
    await fleet.start('jobs');
    await world.quiet();
    expect(await world.counts()).toEqual({ delivered: 400 });
    expect(new Set((await world.marks('work')).keys())).toEqual(new Set(ids));
  });

  it('B: the same without a restart: the relay heals the queue by itself', async () => {
    const { fleet } = world;
    await fleet.start('relay');
    await fleet.start('jobs');
    await world.enqueue('work', { ms: 20 }, 200);
    await until(async () => (await world.marks('work')).size > 30, { what: 'work under way' });
    await dropQueue(world.database.db);
    await world.quiet();
    expect(await world.counts()).toEqual({ delivered: 200 });
  });

  it('D: SIGTERM of every process under load: no attempt is used up, nothing runs twice', async () => {
    const { fleet } = world;
    const first = [await fleet.start('relay'), await fleet.start('jobs'), await fleet.start('jobs')];
    await world.enqueue('work', { ms: 100 }, 600);
    await until(async () => (await world.marks('work')).size > 60, { what: 'work under way' });
    const codes = await Promise.all(first.map((one) => one.stop()));
    expect(codes).toEqual([0, 0, 0]);
    const sending = `select count(*)::int as n from waybill.outbox_messages where status = 'sending'`;
    expect(await world.count(sending)).toBe(0);
    await fleet.start('relay');
    await fleet.start('jobs');
    await world.quiet();
    expect(await world.count('select max(attempts) as n from waybill.outbox_messages')).toBe(1);
    expect(duplicates(await world.marks('work'))).toBe(0);
    expect(await world.counts()).toEqual({ delivered: 600 });
  });

  it('D: what outlasts the grace period is given back with its attempt', async () => {
    const { fleet } = world;
    await fleet.start('relay');
    const worker = await fleet.start('jobs', { WAYBILL_SHUTDOWN_GRACE: '1s' });
    const [id] = await world.enqueue('stubborn', { ms: 600_000 });
    await until(async () => (await world.marks('begin')).has(id!), { what: 'the delivery to begin' });
    expect(await worker.stop()).toBe(0);
    const [row] = (await world.database.db.executeSql('select status, attempts from waybill.outbox_messages'))
      .rows;
    expect(row).toEqual({ status: 'pending', attempts: 0 });
    await world.database.db.executeSql(
      `update waybill.outbox_messages set status = 'cancelled', cancelled_at = now()`,
    );
  });

  it('E, F: a message whose handler ends the process dies after its attempts and takes no other with it', async () => {
    const { fleet } = world;
    await fleet.start('relay');
    const [poison] = await world.enqueue('poison', {}, 1, { maxAttempts: 3 });
    await world.enqueue('work', { ms: 30 }, 100, { maxAttempts: 3 });
    let starts = 0;
    const again = async (): Promise<void> => {
      for (; starts < 6; starts++) {
        const worker = await fleet.start('jobs');
        if ((await Promise.race([worker.ended, world.quiet().then(() => 'quiet')])) === 'quiet') return;
      }
    };
    await again();
    expect(starts).toBe(3);
    expect(await world.counts()).toEqual({ delivered: 100, dead: 1 });
    expect(await world.marks('poison')).toEqual(new Map([[poison, 3]]));
  });
});
