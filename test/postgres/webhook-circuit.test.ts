// The circuit of an endpoint, and replays. Real: Postgres, an HTTP server on this machine, drains. Doubled: nothing; times are moved in the rows, so that days
// pass at once.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { previewReplay, replay } from '../../src/acts/webhooks.ts';
import { enqueueWebhook } from '../../src/define/recorder.ts';
import { listActs } from '../../src/operate/audit.ts';
import { pauseGroup, resumeGroup } from '../../src/operate/groups.ts';
import { registerQueues } from '../../src/queues/queues.ts';
import { failGroup, holdGroup } from '../../src/queues/circuit.ts';
import { newId } from '../../src/message/id.ts';
import { until } from '../support/wait.ts';
import { showMessage } from '../../src/operate/read.ts';
import { waybill } from '../support/command.ts';
import { payload, secrets, webhookWorld, type WebhookWorld } from '../support/webhooks.ts';

let world: WebhookWorld;
let now: WebhookWorld['now'];
beforeAll(async () => {
  world = await webhookWorld();
  ({ now } = world);
});
beforeEach(() => world.reset());
afterAll(() => world.end());

const ports = () => ({ db: world.database.db, maxPayloadBytes: 1_000_000, payloadKeys: [] });
const actor = { by: 'ann', key: null, via: 'cli', requestId: null, reason: null } as const;
const show = (id: string) => showMessage(world.database.db, id);

describe('the circuit of an endpoint', () => {
  it('holds it for a time that doubles with each failure: from the first on if it was slow, from the third on if not', async () => {
    const { db } = world.database;
    const times = async (group: string, isSlow: boolean, n: number): Promise<number[]> => {
      const end = {
        isOk: false,
        reason: 'a reason',
        isSlow,
        isGone: false,
        retryAfter: 0,
        parkAfterMs: 1e9,
      } as const;
      const held: number[] = [];
      for (let i = 0; i < n; i++) {
        const failed = await failGroup(
          db,
          { queue: 'webhooks', group, message: newId() },
          { ...end, parked: () => null },
        );
        held.push(Math.max(0, failed!.heldMs));
        await db.executeSql('update waybill.queue_groups set held_until = now()');
      }
      return held;
    };
    const near = (all: readonly number[], seconds: readonly number[]): void =>
      all.forEach((ms, i) => {
        expect(ms).toBeGreaterThanOrEqual(seconds[i]! * 900);
        expect(ms).toBeLessThanOrEqual(seconds[i]! * 1_100);
      });
    near(await times('quick', false, 12), [0, 0, 5, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
    near(await times('slow', true, 8), [15, 30, 60, 120, 240, 480, 600, 600]);
  });

  it('holds one that does not answer, and opens it at the first success', async () => {
    now.answer = () => 'hang';
    await world.sendHastily();
    await world.drain();
    expect((await world.group('hasty:c1'))?.failing).toMatchObject({
      failures: 1,
      reason: expect.stringMatching(/no answer/),
    });
    await world.database.db.executeSql(
      `update waybill.queue_groups set held_until = now() + interval '1 minute'`,
    );
    const later = await world.sendHastily();
    expect(await world.drain()).toMatchObject({ claimed: 0 });
    expect(await show(later)).toMatchObject({
      attemptCount: 0,
      waitsFor: { state: 'held', group: 'hasty:c1' },
    });
    now.answer = () => 204;
    await until(async () => {
      await world.pass();
      await world.drain();
      return (await show(later)).status === 'delivered' && (await world.group('hasty:c1')) === undefined;
    });
  });

  it('lets one webhook at a time through while it fails, and all others of other endpoints', async () => {
    now.answer = () => 500;
    await world.send();
    await world.drain();
    let [running, most] = [0, 0];
    now.answer = async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 20));
      running--;
      return 500;
    };
    for (let i = 0; i < 6; i++) await world.send();
    await world.drain();
    expect(most).toBe(1);
    await world.send('c2');
    await world.send('c2');
    now.answer = () => 204;
    expect((await world.drain()).delivered).toBeGreaterThanOrEqual(2);
  });

  it('counts attempts that ran beside one another once', async () => {
    now.answer = () => 500;
    for (let i = 0; i < 4; i++) await world.send();
    await world.drain();
    expect((await world.group())?.failing?.failures).toBe(1);
  });

  describe('whose attempts ran beside one another', () => {
    const of = { queue: 'webhooks', group: 'customer:c1' };
    const failed = {
      isOk: false,
      reason: 'answered 500',
      isSlow: false,
      isGone: false,
      retryAfter: 0,
      parkAfterMs: 1e9,
      parked: () => null,
    } as const;
    /** Webhooks that are in flight. */
    const inFlight = async (n: number) => {
      for (let i = 0; i < n; i++) await world.send();
      const claimed = await world.outbox().claimBatch({ limit: n, leaseMs: 60_000, workerId: 'w' });
      return claimed.map(({ id }) => ({ ...of, message: id }));
    };

    it('is held for as long as any of them asks', async () => {
      const { db } = world.database;
      const [a, b, c] = await inFlight(3);
      expect(await failGroup(db, a!, failed)).toMatchObject({ failures: 1, isToPark: false });
      expect(await failGroup(db, b!, failed)).toBeUndefined();
      const held = await failGroup(db, c!, { ...failed, retryAfter: 3_600_000 });
      expect(held).toMatchObject({ failures: 1, isToPark: false });
      expect(held!.heldMs).toBeGreaterThan(3_500_000);
    });

    it('is parked when one of them says that it is gone', async () => {
      const { db } = world.database;
      const [a, b] = await inFlight(2);
      await failGroup(db, a!, failed);
      expect(await failGroup(db, b!, { ...failed, isGone: true })).toMatchObject({
        failures: 1,
        isToPark: true,
      });
    });

    it('is held for what hangs before the request, longer each time, and never parked for that', async () => {
      const { db } = world.database;
      const hung = { isOk: false, isHung: true, reason: 'resolve took longer than 10 s' } as const;
      const [a, b] = await inFlight(2);
      const times = [await holdGroup(db, a!, hung)];
      expect(await holdGroup(db, b!, hung)).toBeUndefined();
      for (let i = 0; i < 7; i++) times.push(await holdGroup(db, { ...of, message: newId() }, hung));
      const longest = [17, 33, 66, 132, 264, 528, 600, 600];
      for (const [i, ms] of times.entries()) {
        expect(ms).toBeGreaterThan(longest[i]! * 750);
        expect(ms).toBeLessThanOrEqual(longest[i]! * 1_000);
      }
      expect(await world.group()).toMatchObject({ failing: { failures: 0, reason: hung.reason } });
      await db.executeSql(`update waybill.queue_groups set failing_since = now() - interval '30 days', held_at = now() - interval '1 hour'`);
      const first = await failGroup(db, { ...of, message: newId() }, { ...failed, parkAfterMs: 3_600_000 });
      expect(first).toMatchObject({ failures: 1, isToPark: false });
      expect(Date.now() - first!.since.getTime()).toBeLessThan(86_400_000);
    }); // prettier-ignore
  });

  it('parks it alone after days without a success, and its owner is told in a job', async () => {
    now.answer = () => 500;
    const id = await world.send();
    for (let i = 0; i < 5; i++) {
      await world.pass();
      await world.drain();
    }
    expect(await world.group()).toMatchObject({ parked: null });
    await world.database.db.executeSql(
      `update waybill.queue_groups set failing_since = now() - interval '121 hours'`,
    );
    await world.pass();
    await world.drain(2);
    expect(await world.group()).toMatchObject({ parked: { reason: expect.stringMatching(/answered 500/) } });
    expect(now.told).toMatchObject([
      { id: 'c1', failures: 6, reason: expect.stringMatching(/answered 500/) },
    ]);
    expect(Date.now() - now.told[0]!.since.getTime()).toBeGreaterThan(120 * 3_600_000);
    expect((await world.database.db.executeSql('select id from told')).rows).toEqual([{ id: 'c1' }]);
    // It waits, without using attempts, and other endpoints do not.
    now.answer = () => 204;
    await world.pass();
    const { attemptCount } = await show(id);
    await world.send('c2');
    expect(await world.drain()).toMatchObject({ claimed: 1, delivered: 1 });
    expect(await show(id)).toMatchObject({
      attemptCount,
      waitsFor: { state: 'parked', group: 'customer:c1' },
    });
    await resumeGroup(world.database.db, 'webhooks', 'customer:c1');
    expect(await world.drain()).toMatchObject({ delivered: 1 });
    expect(now.told).toHaveLength(1);
  });

  it('parks it also when it gets a webhook only now and then', async () => {
    const { db } = world.database;
    now.answer = () => 500;
    for (let week = 0; week < 4; week++) {
      await world.send();
      await world.drain();
      expect(await world.group()).toMatchObject({ parked: null, failing: { failures: week + 1 } });
      await db.executeSql(
        `update waybill.queue_groups set failing_since = failing_since - interval '7 days', failed_at = failed_at - interval '7 days'`,
      );
      await db.executeSql('truncate waybill.outbox_messages cascade');
      await world.pass();
    }
    await world.send();
    await world.drain();
    expect(await world.group()).toMatchObject({ parked: {} });
  });

  it('parks it at once when it answers 410 Gone', async () => {
    now.answer = () => 410;
    const id = await world.send();
    expect(await world.drain(2)).toMatchObject({});
    expect(await show(id)).toMatchObject({
      status: 'dead',
      lastError: expect.stringMatching(/answered 410 .*Gone/),
    });
    expect(await world.group()).toMatchObject({ parked: { reason: expect.stringMatching(/410/) } });
    expect(now.told).toMatchObject([{ id: 'c1', failures: 1 }]);
  });

  it('is opened by the application, in its transaction', async () => {
    now.answer = () => 410;
    await world.send();
    await world.drain();
    now.answer = () => 204;
    const id = await world.send();
    await expect(
      world.act(async (ctx) => {
        expect(await ctx.webhooks.resume(world.customer.to('c1'))).toBe(true);
        throw new Error('rolled back');
      }),
    ).rejects.toThrow('rolled back');
    expect(await world.group()).toMatchObject({ parked: {} });
    expect(await world.act((ctx) => ctx.webhooks.resume(world.customer.to('c1')))).toBe(true);
    expect(await world.act((ctx) => ctx.webhooks.resume(world.customer.to('c1')))).toBe(false);
    await world.drain();
    expect(await show(id)).toMatchObject({ status: 'delivered' });
  });

  it('that a person paused stays paused when the application opens it', async () => {
    const { db } = world.database;
    now.answer = () => 410;
    await world.send();
    await world.drain();
    await pauseGroup(db, 'webhooks', 'customer:c1', { by: 'ann', reason: 'they asked' });
    const resumed = () => world.act((ctx) => ctx.webhooks.resume(world.customer.to('c1')));
    expect([await resumed(), await resumed()]).toEqual([true, false]);
    expect(await world.group()).toMatchObject({ paused: { by: 'ann' }, parked: null, failing: null });
    await resumeGroup(db, 'webhooks', 'customer:c1');
    expect((await world.group())?.paused ?? null).toBeNull();
  });
});

describe('a replay', () => {
  const since = () => new Date(Date.now() - 3_600_000);

  it('attempts again what is dead or waits for a later attempt, with the same ids', async () => {
    now.address = () => null;
    const dead = await world.send();
    await world.drain();
    now.address = () => ({ url: world.receiver.url, secrets });
    now.answer = () => 500;
    const failed = await world.send();
    const other = await world.send('c2');
    await world.drain();
    now.answer = () => 204;
    world.receiver.received.length = 0;
    const done = await world.act((ctx) => ctx.webhooks.replay(world.customer.to('c1'), { since: since() }));
    expect(done).toEqual({ retried: 1, hastened: 1, recorded: 0, next: null });
    await world.drain(2); // one at a time while the endpoint fails
    expect(world.receiver.received.map(({ id }) => id).toSorted()).toEqual([dead, failed].toSorted());
    expect(await show(other)).toMatchObject({ status: 'failed' });
  });

  it('sends delivered ones again with the id that they had, or with new ones', async () => {
    const id = await world.send();
    await world.drain();
    const all = { since: since(), all: true };
    expect(await world.act((ctx) => ctx.webhooks.replay(world.customer.to('c1'), all))).toMatchObject({
      recorded: 1,
    });
    await world.drain();
    expect(world.receiver.received.map((one) => one.id)).toEqual([id, id]);
    const until = new Date();
    await world.act((ctx) => ctx.webhooks.replay(world.customer.to('c1'), { ...all, until, newIds: true }));
    await world.drain();
    const ids = world.receiver.received.map((one) => one.id);
    expect(ids.slice(2)).toHaveLength(1); // of the first, not of its copy
    expect(ids.slice(2)).not.toContain(id);
    expect(await world.act((ctx) => ctx.webhooks.replay(world.customer.to('c1'), all))).toMatchObject({
      recorded: 1,
    });
  });

  it('copies no copy, also when the original was pruned', async () => {
    const id = await world.send();
    await world.drain();
    const again = () =>
      world.act((ctx) =>
        ctx.webhooks.replay(world.customer.to('c1'), { since: since(), all: true, newIds: true }),
      );
    expect([(await again()).recorded, (await again()).recorded]).toEqual([1, 1]);
    await world.drain(2);
    await world.database.db.executeSql('delete from waybill.outbox_messages where id = $1', [id]);
    expect(await again()).toMatchObject({ recorded: 0 });
  });

  it('counts those with the same delivery key once, as it retries one of them', async () => {
    now.address = () => null;
    for (let i = 0; i < 2; i++) {
      await enqueueWebhook(world.outbox(), world.customer.to('c1'), payload, { deliveryKey: 'k' });
      await world.drain();
    }
    const given = { endpoint: 'customer:c1', since: since(), all: false, newIds: false };
    expect(await previewReplay(world.database.db, given)).toMatchObject({ retried: 1 });
    const replayed = world.act((ctx) => ctx.webhooks.replay(world.customer.to('c1'), { since: since() }));
    expect(await replayed).toMatchObject({ retried: 1 });
  });

  it('takes nothing that is older, and refuses what is no time', async () => {
    now.answer = () => 410;
    await world.send();
    await world.drain();
    const later = new Date(Date.now() + 60_000);
    expect(
      await world.act((ctx) => ctx.webhooks.replay(world.customer.to('c1'), { since: later })),
    ).toMatchObject({
      retried: 0,
    });
    const replayed = (options: object) =>
      world.act((ctx) => ctx.webhooks.replay(world.customer.to('c1'), { since: since(), ...options }));
    for (const time of [new Date(Number.NaN), new Date(8.64e15), 'yesterday'])
      await expect(replayed({ since: time })).rejects.toMatchObject({ code: 'invalid_time' });
    await expect(replayed({ all: 'yes' })).rejects.toMatchObject({ code: 'options_invalid' });
  });

  it('of sensitive payloads that were delivered is refused before anything is changed', async () => {
    await enqueueWebhook(world.outbox(), world.secret.to('c1'), { iban: 'DE02' });
    await world.drain();
    now.answer = () => 410;
    const { id: dead } = await enqueueWebhook(world.outbox(), world.secret.to('c1'), { iban: 'DE03' });
    await world.drain();
    const { db } = world.database;
    const given = { endpoint: 'secret:c1', since: since(), newIds: false };
    const refused = { code: 'replay_sensitive' };
    await expect(previewReplay(db, { ...given, all: true })).rejects.toMatchObject(refused);
    await expect(replay(ports(), actor, { ...given, all: true })).rejects.toMatchObject(refused);
    expect(await show(dead)).toMatchObject({ status: 'dead' });
    expect(await replay(ports(), actor, { ...given, all: false })).toMatchObject({ retried: 1 });
    expect((await listActs(db, { act: ['webhooks.replay'] })).acts).toMatchObject([
      { target: 'secret:c1', count: 1 },
    ]);
  });

  describe('of more than one step', () => {
    const to = () => world.customer.to('c1');
    const send = (n: number) =>
      world.act((ctx) =>
        ctx.webhooks.sendMany(
          to(),
          Array.from({ length: n }, () => ({ payload })),
        ),
      );
    const drainAll = async (): Promise<void> => {
      while ((await world.drain()).claimed > 0);
    };
    beforeEach(() => registerQueues(world.database.db, ['webhooks'], new Map([['webhooks', {}]])));
    const recordedAgain = async () =>
      (
        await world.database.db.executeSql(
          `select count(*)::int as all, count(distinct payload ->> 'id')::int as different
             from waybill.outbox_messages where payload ? 'id'`,
        )
      ).rows[0];

    it('records each delivered one once, though all have the same time', async () => {
      await send(510);
      await drainAll();
      const given = { endpoint: 'customer:c1', since: since(), all: true, newIds: false };
      const progress: number[] = [];
      const done = await replay(ports(), actor, given, ({ recorded }) => progress.push(recorded));
      expect([done, progress]).toEqual([{ retried: 0, hastened: 0, recorded: 510 }, [500, 510]]);
      expect(await recordedAgain()).toEqual({ all: 510, different: 510 });
    }); // prettier-ignore

    it('goes on in another transaction, and takes no copy of its own', async () => {
      await send(510);
      await drainAll();
      const options = { since: since(), all: true };
      const first = await world.act((ctx) => ctx.webhooks.replay(to(), options));
      expect(first).toEqual({ retried: 0, hastened: 0, recorded: 500, next: expect.any(String) as string });
      await world.drain();
      const from = first.next!;
      const second = await world.act((ctx) => ctx.webhooks.replay(to(), { ...options, from }));
      expect(second).toEqual({ retried: 0, hastened: 0, recorded: 10, next: null });
      expect(await recordedAgain()).toEqual({ all: 510, different: 510 });
    });

    it('leaves alone what is delivered meanwhile', async () => {
      await send(501);
      await drainAll();
      await send(1);
      const options = { since: since(), all: true };
      const first = await world.act((ctx) => ctx.webhooks.replay(to(), options));
      await drainAll();
      const from = first.next!;
      const second = await world.act((ctx) => ctx.webhooks.replay(to(), { ...options, from }));
      expect([first.recorded, second]).toEqual([500, { retried: 0, hastened: 0, recorded: 1, next: null }]);
    });

    it('leaves alone what dies again meanwhile, and what was erased hides nothing', async () => {
      now.address = () => null;
      const ids = (await send(1_020)).map(({ id }) => id);
      await drainAll();
      const { db } = world.database;
      await db.executeSql(
        `insert into waybill.outbox_notes (message_id, type, source)
           select id, 'erased', 'test ' || id from unnest($1::uuid[]) as id`,
        [ids.slice(0, 510)],
      );
      const first = await world.act((ctx) => ctx.webhooks.replay(to(), { since: since() }));
      expect(first).toEqual({ retried: 500, hastened: 0, recorded: 0, next: expect.any(String) as string });
      await world.drain();
      const from = first.next!;
      const second = await world.act((ctx) => ctx.webhooks.replay(to(), { since: since(), from }));
      expect(second).toEqual({ retried: 10, hastened: 0, recorded: 0, next: null });
    });

    it('refuses a place that no call named', async () => {
      const from = '2026-11-30';
      const replayed = world.act((ctx) => ctx.webhooks.replay(to(), { since: since(), from }));
      await expect(replayed).rejects.toMatchObject({ code: 'options_invalid' });
    });
  });

  it('by the command: a dry run counts, and the answer says how many', async () => {
    now.address = () => null;
    const dead = await world.send();
    await world.drain();
    const replay = (...more: string[]) =>
      waybill(['webhooks', 'replay', 'customer:c1', '--since', '1h', ...more], {
        DATABASE_URL: world.database.url,
      });
    const dry = await replay('--dry-run', '--json');
    expect(JSON.parse(dry.stdout)).toMatchObject({ retried: 1, hastened: 0, recorded: 0, dryRun: true });
    expect(await show(dead)).toMatchObject({ status: 'dead' });
    expect((await replay('--all', '--dry-run')).stdout).toMatch(/^would be sent again: 1 dead, 0 that wait/);
    const done = await replay('--reason', 'their server was away');
    expect([done.code, done.stdout]).toEqual([
      0,
      'sent again: 1 dead, 0 that wait for a later attempt, 0 delivered\n',
    ]);
    expect(await show(dead)).toMatchObject({ status: 'pending' });
    await pauseGroup(world.database.db, 'webhooks', 'customer:c1', { by: 'ann', reason: null });
    expect((await replay()).stdout).toContain(
      'customer:c1 is paused: nothing is sent to it until somebody resumes it: `waybill queues resume webhooks --group customer:c1`',
    );
    const none = await waybill(['webhooks', 'replay', 'customer:c1', '--since', 'soon'], {
      DATABASE_URL: world.database.url,
    });
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('since must be a time')]);
  });
});
