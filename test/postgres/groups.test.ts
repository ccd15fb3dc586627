// Groups: claims take turns between them. Real: Postgres. Doubled: nothing.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { claimGroups, claimGroupsSql } from '../../src/outbox/claim-groups.ts';
import { findDue } from '../../src/outbox/waiting.ts';
import type { NewMessage } from '../../src/message/message.ts';
import { cancelGroup, listGroups, pauseGroup, resumeGroup } from '../../src/operate/groups.ts';
import { limitQueue } from '../../src/operate/limits.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { registerQueues } from '../../src/queues/queues.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import type { OutboxPort } from '../../src/outbox/port.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let outbox: OutboxPort;

beforeAll(async () => {
  database = await testDatabase();
  outbox = createPostgresOutbox(database.db);
});
afterAll(() => database.end());
beforeEach(async () => {
  await database.db.executeSql(
    'truncate waybill.outbox_messages, waybill.outbox_audit, waybill.queues, waybill.queue_groups cascade',
  );
  await registerQueues(database.db, ['q', 'r']);
});

const of = (group: string | undefined, n: number, over: Partial<NewMessage> = {}): NewMessage[] =>
  Array.from({ length: n }, (_, i) => ({
    kind: 'job',
    name: 'noop',
    queue: 'q',
    payload: i,
    group,
    ...over,
  }));

const lease = { leaseMs: 60_000, workerId: 'w' };

/** Claims until nothing is left. @returns the groups of each claim */
async function rounds(limit: number, most = 1_000): Promise<string[][]> {
  const taken: string[][] = [];
  let after: string | undefined;
  for (let i = 0; i < most; i++) {
    const { claimed, next } = await claimGroups(database.db, {
      queue: 'q',
      priority: 0,
      limit,
      after,
      ...lease,
    });
    if (claimed.length === 0) break;
    taken.push(claimed.map(({ message }) => message.group ?? '(none)'));
    after = next;
  }
  return taken;
}

const counts = (groups: readonly string[]): Record<string, number> =>
  Object.fromEntries([...Map.groupBy(groups, (g) => g)].map(([g, its]) => [g, its.length]));

const settled = async (groups: readonly string[]): Promise<void> => {
  await database.db.executeSql(
    `update waybill.outbox_messages set claimed_until = now() - interval '1 second', revision = revision + 1
    where group_key = any($1::text[]) and status = 'sending'`,
    [groups],
  );
  await outbox.expire(1_000);
};

type PlanNode = Readonly<Record<string, unknown>>;

/** All nodes of an explained statement. */
function nodesOf(explained: unknown): PlanNode[] {
  const [{ Plan: top }] = explained as [{ Plan: PlanNode }];
  const under = (node: PlanNode): PlanNode[] => [
    node,
    ...((node['Plans'] ?? []) as PlanNode[]).flatMap(under),
  ];
  return under(top);
}

describe('claims', () => {
  it('take one message of each group in turn, also of those without a group', async () => {
    await outbox.enqueue([...of('big', 50), ...of('a', 2), ...of(undefined, 2), ...of('b', 2)]);
    const [first, second, third] = await rounds(8, 3);
    expect(counts(first!)).toEqual({ '(none)': 2, a: 2, b: 2, big: 2 });
    expect([counts(second!), counts(third!)]).toEqual([{ big: 8 }, { big: 8 }]);
  });

  it('take the first message of each group before the second of another', async () => {
    await outbox.enqueue([...of('big', 50), ...of('a', 2), ...of(undefined, 2), ...of('b', 2)]);
    const [five] = await rounds(5, 1);
    expect(Object.keys(counts(five!)).toSorted()).toEqual(['(none)', 'a', 'b', 'big']);
  });

  it('go on behind the last group, so that every group has its turn', async () => {
    const names = Array.from({ length: 30 }, (_, i) => `g${String(i).padStart(2, '0')}`);
    await outbox.enqueue([...of('big', 100), ...names.flatMap((name) => of(name, 3))]);
    const taken = await rounds(4, 24); // 96 of 190: three turns of 32 places
    const firstTwoRounds = taken.slice(0, 16).flat();
    for (const name of names)
      expect(firstTwoRounds.filter((g) => g === name).length).toBeGreaterThanOrEqual(1);
    const all = counts(taken.flat());
    expect(all['big']).toBeLessThanOrEqual(8);
    expect(Math.min(...names.map((name) => all[name] ?? 0))).toBeGreaterThanOrEqual(2);
  });

  it('find the few groups that are due among many whose messages are for later', async () => {
    const later = new Date(Date.now() + 3_600_000);
    const names = Array.from({ length: 500 }, (_, i) => `later-${i}`);
    await outbox.enqueue(names.flatMap((name) => of(name, 1, { availableAt: later })));
    await outbox.enqueue([...of('zz', 5), ...of('aa', 2)]);
    expect(counts((await rounds(10)).flat())).toEqual({ aa: 2, zz: 5 });
  });

  it('step from group to group only when more is due than they look at first', async () => {
    const stepped = async (): Promise<number> => {
      const { rows } = await database.db.transaction(async (tx) => {
        const values = [10, 'q', 0, 60_000, 'w', '', null, null, null, false];
        const explained = await tx.executeSql(`explain (analyze, format json) ${claimGroupsSql}`, values);
        await tx.executeSql('update waybill.outbox_messages set available_at = now(), revision = revision + 1');
        return explained;
      });
      const walk = nodesOf(rows[0]!['QUERY PLAN']).find((node) => node['Subplan Name'] === 'CTE ahead');
      return walk!['Actual Rows'] as number;
    };
    const later = { availableAt: new Date(Date.now() + 3_600_000) };
    await outbox.enqueue([...Array.from({ length: 40 }, (_, i) => of(`g${i}`, 1, later)).flat(), ...of('due', 5)]);
    expect(await stepped()).toBe(0);
    expect(await stepped()).toBe(16); // now all are due
  }); // prettier-ignore

  it('find the open group behind a hundred closed ones, wherever the last claim ended', async () => {
    const names = Array.from({ length: 100 }, (_, i) => `m${String(i).padStart(3, '0')}`);
    await outbox.enqueue([...names.flatMap((name) => of(name, 3)), ...of('aa', 1), ...of('zz', 1)]);
    await database.db.executeSql(
      `insert into waybill.queue_groups (queue, group_key, failing_since, failed_at, failures, held_until)
       select 'q', name, now(), now(), 5, now() + interval '1 hour' from unnest($1::text[]) name`,
      [names],
    );
    for (const after of [undefined, 'aa', 'm050', 'zz']) {
      const claim = { queue: 'q', priority: 0, limit: 2, after, ...lease };
      const { claimed } = await claimGroups(database.db, claim);
      expect(new Set(claimed.map(({ message }) => message.group))).toEqual(new Set(['aa', 'zz']));
      await outbox.settle(
        claimed.map(({ message: { id, claimToken } }) => ({
          id,
          claimToken,
          to: 'released',
          error: null,
          delay: 0,
        })),
      );
    }
    expect((await findDue(database.db, ['q'])).places).toMatchObject([{ queue: 'q', isGrouped: true }]);
  });

  it('reach the group that became due behind closed ones with a backlog and open ones whose messages are for later', async () => {
    const later = { availableAt: new Date(Date.now() + 3_600_000) };
    const closed = Array.from({ length: 40 }, (_, i) => `closed-${i}`);
    const open = Array.from({ length: 50 }, (_, i) => of(`open-${i}`, 1, later));
    await outbox.enqueue([...closed.flatMap((name) => of(name, 1)), ...open.flat(), ...of('zz', 1)]);
    await database.db.executeSql(
      `insert into waybill.queue_groups (queue, group_key, failing_since, failed_at, failures, parked_at)
       select 'q', name, now(), now(), 5, now() from unnest($1::text[]) name`,
      [closed],
    );
    const sweeps: boolean[] = [];
    let after: string | undefined;
    for (let found = 0; found === 0 && sweeps.length < 10;) {
      const sweep = await claimGroups(database.db, { queue: 'q', priority: 0, limit: 10, after, ...lease });
      found = sweep.claimed.length;
      after = sweep.next;
      sweeps.push(sweep.isLap);
    }
    expect(sweeps).toEqual([false, false, false, true]); // 16 groups each
    await outbox.enqueue(of('zz', 1));
    expect((await outbox.claimBatch({ limit: 10, ...lease })).map(({ group }) => group)).toEqual(['zz']);
    expect(await outbox.claimBatch({ limit: 10, ...lease })).toEqual([]);
  });

  it('that the limits of the queue leave no place for do not move on', async () => {
    const later = { availableAt: new Date(Date.now() + 3_600_000) };
    const names = Array.from({ length: 40 }, (_, i) => `g${i}`);
    await outbox.enqueue([...names.flatMap((name) => of(name, 1, later)), ...of('zz', 50)]);
    await limitQueue(database.db, 'q', { concurrency: 1 }, { by: 'ann', reason: null });
    const claim = { queue: 'q', priority: 0, limit: 10, ...lease };
    expect((await claimGroups(database.db, claim)).claimed).toHaveLength(1);
    expect(await claimGroups(database.db, claim)).toMatchObject({ claimed: [], next: undefined });
  });

  it('lose and double nothing when many claim at once', async () => {
    const names = Array.from({ length: 40 }, (_, i) => `g${i}`);
    await outbox.enqueue([...names.flatMap((name) => of(name, 10)), ...of(undefined, 30)]);
    const taken = (await Promise.all(Array.from({ length: 6 }, () => rounds(7)))).flat(2);
    expect(taken).toHaveLength(430);
    const { rows } = await database.db.executeSql(
      `select count(*)::int as n from waybill.outbox_messages where status = 'sending'`,
    );
    expect(rows).toEqual([{ n: 430 }]);
    expect((await verifyOutbox(database.db)).ok).toBe(true);
  });

  it('by claimBatch take turns too, and a filter holds', async () => {
    await outbox.enqueue([...of('big', 20), ...of('a', 1), ...of(undefined, 1)]);
    const request = { limit: 4, ...lease };
    const got = await outbox.claimBatch(request);
    expect(counts(got.map(({ group }) => group ?? '(none)'))).toMatchObject({ a: 1 });
    const [left] = await outbox.enqueue(of('late', 1));
    expect((await outbox.claimBatch({ ...request, ids: [left!.id] })).map(({ id }) => id)).toEqual([
      left!.id,
    ]);
    expect(await outbox.claimBatch({ ...request, kinds: ['email'] })).toEqual([]);
  });

  it('are found by a poll, apart from those without a group', async () => {
    await outbox.enqueue([...of('a', 1), ...of(undefined, 1, { queue: 'r' })]);
    const { places } = await findDue(database.db);
    expect(new Set(places.map(({ queue, isGrouped }) => `${queue} ${isGrouped}`))).toEqual(
      new Set(['q true', 'r false']),
    );
  });
});

describe('a paused group', () => {
  it('waits, and the others go on; it is resumed, or its pause ends', async () => {
    await outbox.enqueue([...of('a', 2), ...of('b', 1)]);
    const about = { by: 'ann', reason: 'their server is down' };
    expect(await pauseGroup(database.db, 'q', 'a', about)).toMatchObject({
      group: 'a',
      waiting: 2,
      paused: about,
    });
    expect((await rounds(10)).flat()).toEqual(['b']);
    expect(await resumeGroup(database.db, 'q', 'a')).toMatchObject({ paused: null });
    expect((await rounds(1, 1)).flat()).toEqual(['a']);
    await pauseGroup(database.db, 'q', 'a', { ...about, forMs: 3_600_000 });
    expect((await rounds(10)).flat()).toEqual([]);
    await database.db.executeSql('update waybill.queue_groups set paused_until = now()');
    expect((await rounds(10)).flat()).toEqual(['a']);
  });

  it('F: keeps its suspects, for which no worker empties itself until it is open', async () => {
    await outbox.enqueue(of('a', 1));
    await database.db.executeSql(
      'update waybill.outbox_messages set expirations = 2, revision = revision + 1',
    );
    await pauseGroup(database.db, 'q', 'a', { by: 'ann', reason: null });
    expect((await findDue(database.db)).places).toEqual([]);
    await resumeGroup(database.db, 'q', 'a');
    expect((await findDue(database.db)).places).toMatchObject([{ queue: 'q', suspects: true }]);
  });

  it('is refused for an unknown queue, and a group that is none', async () => {
    const about = { by: 'ann', reason: null };
    await expect(pauseGroup(database.db, 'nope', 'a', about)).rejects.toMatchObject({
      code: 'unknown_queue',
    });
    for (const group of ['', 'x'.repeat(201), 'a\0b'])
      await expect(pauseGroup(database.db, 'q', group, about)).rejects.toMatchObject({
        code: 'group_invalid',
      });
  });
});

describe('operators', () => {
  it('list the largest groups first, with what is in flight', async () => {
    await outbox.enqueue([...of('a', 1), ...of('b', 3), ...of(undefined, 2)]);
    await rounds(1, 1);
    const { groups } = await listGroups(database.db, 'q');
    expect(groups.map(({ group, waiting, inFlight }) => [group, waiting + inFlight])).toEqual([
      ['b', 3],
      [null, 2],
      ['a', 1],
    ]);
    expect(groups.reduce((sum, { inFlight }) => sum + inFlight, 0)).toBe(1);
    const first = await listGroups(database.db, 'q', 1);
    expect([first.groups.length, first.rest.groups]).toEqual([1, groups.length - 1]);
    expect(first.rest.waiting + first.groups[0]!.waiting).toBe(
      groups.reduce((sum, { waiting }) => sum + waiting, 0),
    );
  });

  it('see those that wait for a person before larger ones, also without messages', async () => {
    await outbox.enqueue([...of('a', 1), ...of('b', 3)]);
    await pauseGroup(database.db, 'q', 'a', { by: 'ann', reason: null });
    await database.db.executeSql(
      `insert into waybill.queue_groups (queue, group_key, failing_since, failed_at, failures, parked_at)
       values ('q', 'gone', now(), now(), 1, now())`,
    );
    const names = async (limit?: number) =>
      (await listGroups(database.db, 'q', limit)).groups.map(({ group }) => group);
    expect([await names(), await names(1)]).toEqual([['a', 'gone', 'b'], ['a']]);
  });

  it('cancel what waits of a group, and only that', async () => {
    await outbox.enqueue([...of('a', 3), ...of('b', 1), ...of('a', 1, { queue: 'r' })]);
    expect(await cancelGroup(database.db, 'q', 'a', { dryRun: true })).toEqual({ matched: 3, cancelled: 0 });
    expect(await cancelGroup(database.db, 'q', 'a')).toEqual({ matched: 3, cancelled: 3 });
    expect(await cancelGroup(database.db, 'q', 'a')).toEqual({ matched: 0, cancelled: 0 });
    expect((await rounds(10)).flat()).toEqual(['b']);
    expect((await verifyOutbox(database.db)).ok).toBe(true);
  });
});

describe('limits of each group', () => {
  const about = { by: 'ann', reason: null };

  it('hold for what is in flight of it', async () => {
    await outbox.enqueue([...of('a', 10), ...of('b', 1), ...of(undefined, 5)]);
    await limitQueue(database.db, 'q', { groupConcurrency: 2 }, about);
    expect(counts((await rounds(10)).flat())).toEqual({ '(none)': 2, a: 2, b: 1 });
    await settled(['a']);
    expect(counts((await rounds(10)).flat())).toEqual({ a: 2 });
  });

  it('hold for its starts, evenly or with a burst', async () => {
    await outbox.enqueue([...of('a', 10), ...of('b', 10)]);
    await limitQueue(database.db, 'q', { groupRate: { limit: 4, ms: 3_600_000, burst: 3 } }, about);
    expect(counts((await rounds(20)).flat())).toEqual({ a: 3, b: 3 });
    await database.db.executeSql(
      `update waybill.queue_groups set next_at = now() - interval '1 second' where group_key = 'a'`,
    );
    expect(counts((await rounds(20)).flat())).toEqual({ a: 1 });
    await limitQueue(database.db, 'q', { groupRate: null }, about);
    expect(counts((await rounds(20)).flat())).toEqual({ a: 6, b: 7 });
  });

  it('hold when many claim at once', async () => {
    await outbox.enqueue([...of('a', 50), ...of('b', 50), ...of('c', 50)]);
    await limitQueue(database.db, 'q', { groupConcurrency: 2, concurrency: 5 }, about);
    const taken = (await Promise.all(Array.from({ length: 8 }, () => rounds(3)))).flat(2);
    expect(taken).toHaveLength(5);
    expect(Math.max(...Object.values(counts(taken)))).toBeLessThanOrEqual(2);
  });
});
