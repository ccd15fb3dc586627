import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import type { NewMessage } from '../../src/message/message.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.end());

const job: NewMessage = { kind: 'job', name: 'noop', queue: 'jobs', payload: {} };

describe('rows edited by hand', () => {
  it.each([
    `status = 'sending'`,
    `status = 'sending', claim_token = gen_random_uuid(), claimed_by = 'me', claimed_at = now(), claimed_until = 'infinity', relayed_at = now(), attempts = 1`,
    `claim_token = gen_random_uuid()`,
    `claimed_until = now()`,
    `status = 'delivered'`,
    `delivered_at = now()`,
    `status = 'dead'`,
    `dead_at = now()`,
    `status = 'cancelled'`,
    `status = 'sent'`,
    `kind = 'fax'`,
    `attempts = -1`,
    `attempts = max_attempts + 1`,
    `max_attempts = 0`,
    `available_at = '-infinity'`,
    `available_at = null`,
  ])('the table refuses: set %s', async (change) => {
    const { id } = await createPostgresOutbox(database.db).enqueue(job);
    const edit = database.db.executeSql(`update waybill.outbox_messages set ${change} where id = $1`, [id]);
    await expect(edit).rejects.toMatchObject({ code: expect.stringMatching(/^23(514|502)$/) });
  });
});

describe('one delivery key, two transactions at once', () => {
  const keyed = (key: string): NewMessage => ({ ...job, deliveryKey: key });
  const waiting = `select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;

  async function second(key: string, end: 'commit' | 'rollback') {
    const { db } = database;
    const first = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const one = db.transaction(async (tx) => {
      const { id } = await createPostgresOutbox(tx).enqueue(keyed(key));
      held.resolve(); // not before: it would be seen in its transaction, and not yet with the key
      await first.promise;
      if (end === 'rollback') throw new Error('no');
      return id;
    });
    await held.promise;
    const two = createPostgresOutbox(db).enqueue(keyed(key));
    await until(async () => (await db.executeSql<{ n: number }>(waiting)).rows[0]!.n === 1, {
      what: 'the second to wait',
    });
    first.resolve();
    return { first: await one.catch(() => undefined), second: await two };
  }

  it('the second waits, and gets the first one’s id', async () => {
    const ended = await second('commits', 'commit');
    expect(ended.second).toEqual({ id: ended.first, status: 'pending', duplicate: true });
  });

  it('the second records its own when the first rolls back', async () => {
    expect((await second('rolls-back', 'rollback')).second).toMatchObject({ duplicate: false });
  });
});
