// Which messages a crash charges: real processes that their messages kill, a real database. What began is read from a file that each handler
// writes to before anything else.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { until } from '../support/wait.ts';

type Line = { id: string; attempt: number; what: 'began' | 'ended'; at: number; pid: number };

let world: World;
let folder: string;
let file: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-begun-'));
  file = join(folder, 'begun');
  world = await fleetWorld({ WAYBILL_APP: 'test/support/crash-app.ts', BEGUN_FILE: file });
});
afterEach(async () => {
  await world.end();
  rmSync(folder, { recursive: true });
});

function lines(): Line[] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line.endsWith('}'))
      .map((line) => JSON.parse(line) as Line);
  } catch {
    return [];
  }
}

/** How often each message began. */
function begun(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { id, what } of lines()) if (what === 'began') counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}

type Row = { id: string; name: string; status: string; attempts: number; expirations: number };

async function rows(): Promise<Row[]> {
  const sql = 'select id, name, status, attempts, expirations from waybill.outbox_messages';
  return (await world.database.db.executeSql<Row>(sql)).rows;
}

/** A worker that is started again whenever it ends, until nothing is left to do. */
async function workUntilQuiet(env: Readonly<Record<string, string>> = {}, most = 40): Promise<number> {
  const quiet = world.quiet(240_000).then(() => 'quiet' as const);
  for (let starts = 1; starts <= most; starts++) {
    const worker = await world.fleet.start('jobs', env);
    if ((await Promise.race([quiet, worker.ended])) === 'quiet') return starts;
  }
  throw new Error(`${most} workers died`);
}

describe('what a crash finds', () => {
  it('E, F: of messages with one attempt, those that kill their process die, and no neighbour dies with them', async () => {
    const { fleet } = world;
    await fleet.start('relay');
    const killers: string[] = [];
    for (let i = 0; i < 6; i++) {
      killers.push(...(await world.enqueue('killer', {}, 1, { maxAttempts: 1 })));
      await world.enqueue('neighbour', { ms: 20 }, 99, { maxAttempts: 1 });
    }
    await workUntilQuiet();
    const all = await rows();
    expect(
      all
        .filter(({ status }) => status === 'dead')
        .map(({ id }) => id)
        .toSorted(),
    ).toEqual(killers.toSorted());
    expect(all.filter(({ status }) => status === 'delivered')).toHaveLength(594);
    const runs = begun();
    for (const id of killers) expect(runs.get(id)).toBeLessThanOrEqual(2); // once with others, once alone
    const again = all.filter(({ id, name }) => name === 'neighbour' && runs.get(id)! > 1);
    expect(again.length).toBeLessThanOrEqual(6 * 50); // twice the slots for each crash
  }, 300_000);

  it('E: of messages with attempts left, what began has used one, and what had not begun keeps them all unless the kill met its begin', async () => {
    const { fleet } = world;
    const slots = 4;
    await fleet.start('relay');
    const worker = await fleet.start('jobs', { WAYBILL_CONCURRENCY: String(slots) });
    await world.enqueue('neighbour', { ms: 30 }, 400);
    await until(() => begun().size > 100, { what: 'a worker that knows its pace' });
    const prefetched = `select count(*)::int as n from waybill.outbox_messages where status = 'sending' and prefetched`;
    await until(async () => (await world.count(prefetched)) > 0, { what: 'something prefetched' });
    worker.kill('SIGKILL');
    await worker.ended;
    const sending = `select count(*)::int as n from waybill.outbox_messages where status = 'sending'`;
    await until(async () => (await world.count(sending)) === 0, { what: 'the leases to run out' });
    const runs = begun();
    const left = (await rows()).filter(({ status }) => status !== 'delivered');
    const unbegun = left.filter(({ id }) => !runs.has(id));
    expect(unbegun.length).toBeGreaterThan(slots);
    // Messages that take a slot are claimed or marked as begun by a statement before. The kill may come in between (docs/states.md).
    const charged = unbegun.filter(({ attempts }) => attempts > 0);
    expect(charged.length).toBeLessThanOrEqual(slots);
    for (const { attempts } of charged) expect(attempts).toBe(1);
    expect(
      left.filter(({ id, expirations, attempts }) => runs.has(id) && expirations > 0 && attempts > 1),
    ).toEqual([]);
    await fleet.start('jobs');
    await world.quiet();
    expect(await world.counts()).toEqual({ delivered: 400 });
  });

  it('E: 1,500 messages that fail twice, with short leases: none is dead, and nothing is charged unbegun', async () => {
    const { fleet } = world;
    await fleet.start('relay');
    await fleet.start('jobs', { WAYBILL_LEASE: '5s' });
    await world.enqueue('failing', { ms: 5 }, 1_500, { maxAttempts: 3 });
    await world.quiet(240_000);
    expect(await world.counts()).toEqual({ delivered: 1_500 });
    const runs = begun();
    expect((await rows()).filter(({ id, attempts }) => attempts !== runs.get(id))).toEqual([]);
  }, 300_000);
});

describe('messages of a dead worker', () => {
  it('F, promise 5: 25 handlers of 2 s that a kill -9 interrupts run again side by side', async () => {
    const { fleet } = world;
    await fleet.start('relay');
    const survivor = await fleet.start('jobs');
    const victim = await fleet.start('jobs');
    survivor.kill('SIGSTOP'); // so that the other one has them all
    const ids = await world.enqueue('neighbour', { ms: 2_000 }, 25);
    await until(() => begun().size === 25, { what: 'all to begin' });
    victim.kill('SIGKILL');
    await victim.ended;
    survivor.kill('SIGCONT');
    await world.quiet();
    const again = lines().filter(({ pid, what }) => pid === survivor.pid && what === 'began');
    expect(again.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
    // Side by side: all had begun before the first of them ended.
    const firstEnd = Math.min(
      ...lines()
        .filter(({ pid, what }) => pid === survivor.pid && what === 'ended')
        .map(({ at }) => at),
    );
    const lastBegin = Math.max(...again.map(({ at }) => at));
    expect(lastBegin).toBeLessThan(firstEnd);
  });

  it('F: what two workers died with runs alone, and other queues are served meanwhile and between', async () => {
    const { fleet, database } = world;
    await fleet.start('relay');
    const ids = await world.enqueue('neighbour', { ms: 1_500 }, 3);
    await database.db.executeSql('update waybill.outbox_messages set expirations = 2, attempts = 2');
    await world.enqueue('neighbour', { ms: 1_000 }, 5);
    await fleet.start('jobs');
    const quick: string[] = [];
    const recorded = new Map<string, number>();
    const isDone = async (): Promise<boolean> =>
      (await world.count(
        `select count(*)::int as n from waybill.outbox_messages where name = 'neighbour' and status <> 'delivered'`,
      )) === 0;
    let seen = 0;
    while (!(await isDone())) {
      const [id] = await world.enqueue('quick', {}, 1, { queue: 'quick' });
      quick.push(id!);
      recorded.set(id!, Date.now());
      seen = Math.max(
        seen,
        await world.count(`select coalesce(max(isolating), 0) as n from waybill.processes`),
      );
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await world.quiet();
    const all = lines();
    const spans = ids.map((id) => {
      const its = all.filter((line) => line.id === id);
      return {
        id,
        from: its.find(({ what }) => what === 'began')!.at,
        to: its.find(({ what }) => what === 'ended')!.at,
      };
    });
    for (const { id, from, to } of spans) {
      const beside = all.filter((line) => line.id !== id && line.at > from && line.at < to);
      expect(beside).toEqual([]);
    }
    const ordered = spans.toSorted((a, b) => a.from - b.from);
    for (const [i, { from }] of ordered.entries()) {
      if (i === 0) continue;
      const between = all.filter(({ id, at }) => recorded.has(id) && at >= ordered[i - 1]!.to && at <= from);
      expect(between.length, 'other work between two that run alone').toBeGreaterThan(0);
    }
    expect(seen).toBe(1);
  });
});
