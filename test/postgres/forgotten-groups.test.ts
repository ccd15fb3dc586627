// Which rows of queue_groups are pruned: those whose absence changes no claim. Real: Postgres. Times are moved in the rows.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pruneGroups } from '../../src/queues/forgotten-groups.ts';
import { registerQueues } from '../../src/queues/queues.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
  // 3 of an hour, 2 of them at once: a start of two hours ago still counts, one of three hours ago does not.
  const groupRate = { limit: 3, ms: 3_600_000, burst: 2 };
  await registerQueues(database.db, ['mail', 'paced'], new Map([['paced', { groupRate }]]));
});
afterAll(() => database.end());

type Given = readonly [queue: string, columns: string, values: string];

const groups: Readonly<Record<string, Given>> = {
  works: ['mail', '', ''],
  started: ['mail', 'next_at', `now() - interval '2 minutes'`],
  'starts later': ['mail', 'next_at', `now() + interval '1 hour'`],
  paused: ['mail', 'paused_at', 'now()'],
  'paused for a time': ['mail', 'paused_at, paused_until', `now(), now() + interval '1 hour'`],
  'was paused': ['mail', 'paused_at, paused_until', `now() - interval '2 hours', now() - interval '1 hour'`],
  parked: ['mail', 'parked_at', 'now()'],
  fails: ['mail', 'failing_since, failed_at, failures', `now() - interval '40 days', now() - interval '31 days', 9`],
  'failed long ago': ['mail', 'failing_since, failed_at, failures', `now() - interval '40 days', now() - interval '33 days', 9`],
  'is held for days': ['mail', 'failing_since, failed_at, held_until', `now() - interval '40 days', now() - interval '39 days', now() + interval '1 day'`],
  'paced, lately': ['paced', 'next_at', `now() - interval '62 minutes'`],
  'paced, long ago': ['paced', 'next_at', `now() - interval '64 minutes'`],
  'of no queue': ['gone', '', ''],
}; // prettier-ignore

const kept = [
  'starts later',
  'paused',
  'paused for a time',
  'parked',
  'fails',
  'is held for days',
  'paced, lately',
];

async function given(): Promise<void> {
  const { db } = database;
  await db.executeSql('delete from waybill.queue_groups');
  for (const [name, [queue, columns, values]] of Object.entries(groups))
    await db.executeSql(
      `insert into waybill.queue_groups (queue, group_key${columns && `, ${columns}`}) values ($1, $2${values && `, ${values}`})`,
      [queue, name],
    );
}

const left = async (): Promise<string[]> =>
  (await database.db.executeSql<{ name: string }>('select group_key as name from waybill.queue_groups')).rows
    .map(({ name }) => name)
    .toSorted();

describe('groups', () => {
  it('are forgotten when nothing of them holds a claim back', async () => {
    await given();
    expect(await pruneGroups(database.db, 100)).toBe(Object.keys(groups).length - kept.length);
    expect(await left()).toEqual(kept.toSorted());
  });

  it('have the same room without the rows that are forgotten', async () => {
    await given();
    const room = async (): Promise<unknown> =>
      (
        await database.db.executeSql(
          `select r.paced, r.burst, r.spacing::text from waybill.queue_room('paced', null) r`,
        )
      ).rows;
    const before = await room();
    expect(before).toMatchObject([{ paced: ['paced, lately'], burst: 2 }]);
    await pruneGroups(database.db, 100);
    expect(await room()).toEqual(before);
  });

  it('go in batches, and none that a claim has locked', async () => {
    await given();
    const { db } = database;
    await db.transaction(async (tx) => {
      await tx.executeSql(`select from waybill.queue_groups where group_key = 'works' for update`);
      expect(await pruneGroups(db, 2)).toBe(2);
      await pruneGroups(db, 100);
      expect(await left()).toContain('works');
    });
    expect(await pruneGroups(db, 100)).toBe(1);
  });
});
